/** A board that could take a request, as the policy sees it. */
export interface BoardView {
  readonly name: string;
  /** Requests that it wants at a time, and has. */
  readonly places: number;
  readonly inHand: number;
  /** Columns that what it has in hand still takes: prompts that are not computed, and tokens that are not generated. */
  readonly columns: number;
  /** Whether it had the request before, and failed or was lost. */
  readonly hadIt: boolean;
}

/**
 * The board for a request: one with a place and the least to compute; one that had the request before only where there is no
 * other.
 * @returns undefined where no board has a place
 */
export function chooseBoard(boards: readonly BoardView[]): string | undefined {
  const [best] = boards
    .filter(({ inHand, places }) => inHand < places)
    .sort(
      (a, b) =>
        Number(a.hadIt) - Number(b.hadIt) ||
        a.columns - b.columns ||
        a.inHand - b.inHand ||
        (a.name < b.name ? -1 : 1),
    );
  return best?.name;
}
