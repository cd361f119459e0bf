/** What is before a sequence whose prompt is not computed yet. */
export interface Prospect {
  /** Tokens of the pages that are there already. */
  readonly found: number;
  /** The page after them, where all of it comes before the last token: who needs the same one has the same number. */
  readonly page: number | undefined;
}

export const NO_PROSPECT: Prospect = { found: 0, page: undefined };
