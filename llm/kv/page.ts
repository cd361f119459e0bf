/** Tokens of a page: as many as sums of a head during attention, token t adds to lane t mod 16 (assembly/attention.ts). */
export const PAGE_TOKENS = 16;

/** No frame. */
export const NONE = -1;

/**
 * Keys and values of up to 16 tokens in all layers. A page that more than one holds, or that is in the index, is not
 * written any more: who goes on in it takes a copy.
 */
export interface Page {
  /** Frames of halves: while the page is open or may be truncated, and with F16 always. */
  keys: number;
  values: number;
  /** Frame of INT8, once the page is complete. */
  bytes: number;
  /** Frames of the rows that convolutions go over, one of each token: until the page is settled. None where no layer convolves. */
  rows: readonly number[];
  /** Caches and pins that hold the page. */
  holders: number;
  /** Pins among them. */
  pins: number;
  /** Where the page is in the index. */
  entry: IndexEntry | undefined;
}

/** What makes a page's content: its tokens after those of all pages before it. */
export interface IndexEntry {
  /** The page before, which is in the index too; nothing before the first page. */
  readonly prefix: Page | undefined;
  readonly tokens: Int32Array;
  /** Hash of all tokens up to the page's end. */
  readonly hash: number;
}
