import type { BoardDescription } from '../../board/index.js';

/** What tokens cost beside the boards themselves. Plain data; what a description does not have is undefined. */
export interface RunningCosts {
  /** Joules of all boards for a token. */
  readonly joulesPerToken: number | undefined;
  /** By the descriptions' price of an hour, in its currency, for a million tokens. */
  readonly pricePerMillion: number | undefined;
}

/**
 * What a token costs: all boards draw power and cost money for as long as a step takes, whoever of them computes.
 * @param tokens of a step
 */
export function runningCosts(
  boards: readonly BoardDescription[],
  stepMs: number,
  tokens: number,
): RunningCosts {
  const seconds = stepMs / 1_000 / tokens;
  const sum = (of: (board: BoardDescription) => number | undefined) =>
    boards.reduce<number | undefined>((all, board) => {
      const own = of(board);
      return all === undefined || own === undefined ? undefined : all + own;
    }, 0);
  const [watts, price] = [sum((board) => board.watts), sum((board) => board.price)];
  return {
    joulesPerToken: watts === undefined ? undefined : watts * seconds,
    pricePerMillion: price === undefined ? undefined : (price / 3600) * seconds * 1e6,
  };
}
