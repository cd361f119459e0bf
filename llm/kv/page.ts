/** Tokens of a page: as many as sums of a head during attention, token t adds to lane t mod 16 (assembly/attention.ts). */
export const PAGE_TOKENS = 16;

/** What of a page has a life of its own: keys and values of layers that see all tokens, and of those with a window. */
export type PartName = 'full' | 'windowed';

/** Frames of a part of a page, one of each kind for every group of its layers; none where it has no such kind. */
export interface PagePart {
  readonly name: PartName;
  /** Frames of halves: while the page is open or may be truncated, and with F16 always. */
  keys: readonly number[];
  values: readonly number[];
  /** Frames of INT8, once the page is complete. */
  bytes: readonly number[];
  /** Of the part `full`, frames of rows that convolutions go over: those that stay, and the others while the page is not settled. */
  keptRows: readonly number[];
  rows: readonly number[];
  /** Caches and pins that hold the part. */
  holders: number;
  /** Pins among them. */
  pins: number;
}

/**
 * Keys and values of up to 16 tokens in all layers. A page that more than one holds, or that is in the index, is not
 * written any more: who goes on in it takes a copy.
 */
export interface Page {
  /** Layers that see all tokens. Who holds the page holds this part. */
  readonly full: PagePart;
  /** Layers with a window: given back when nobody sees it and its room is needed, while the other part stays. */
  windowed: PagePart | undefined;
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

/** The parts that a page has. */
export function partsOf({ full, windowed }: Page): PagePart[] {
  return windowed === undefined ? [full] : [full, windowed];
}

/** All frames that a part has. */
export function framesOf({ keys, values, bytes, keptRows, rows }: PagePart): number[] {
  return [...keys, ...values, ...bytes, ...keptRows, ...rows];
}

/** Whether a page's halves are there; without them it cannot be truncated. */
export function hasHalves(page: Page): boolean {
  return partsOf(page).some(({ keys }) => keys.length > 0);
}

/** Whether a page has room for INT8. */
export function hasBytes(page: Page): boolean {
  return partsOf(page).some(({ bytes }) => bytes.length > 0);
}
