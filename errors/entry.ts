/** One row of the error table: docs/errors.md is generated from these. */
export interface ErrorEntry {
  /** Stable number; the thousands name the area. */
  readonly number: number;
  /** What the code means, in one sentence without the particulars of an occurrence. */
  readonly meaning: string;
  /** What the reader can do about it. */
  readonly remedy: string;
}
