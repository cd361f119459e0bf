/** Boards of one kind, of which there may be several. */
export interface BoardKind<T> {
  readonly board: T;
  readonly count: number;
}

/** Layers from..to-1 on a board. */
export interface PartitionStage<T> {
  readonly board: T;
  readonly from: number;
  readonly to: number;
}

/** Boards that are alike are tried once. */
export function kindsOf<T>(boards: readonly T[]): BoardKind<T>[] {
  const kinds = new Map<string, { board: T; count: number }>();
  for (const board of boards) {
    const key = JSON.stringify(board);
    const kind = kinds.get(key) ?? { board, count: 0 };
    kind.count++;
    kinds.set(key, kind);
  }
  return [...kinds.values()];
}

interface Best<T> {
  readonly slowest: number;
  readonly stages: readonly PartitionStage<T>[];
}

/**
 * Cuts layers into one range for each board, in whatever order of the boards, such that the slowest stage is as fast as can be;
 * of equal cuts the one whose first stages have most.
 *
 * @param cost of layers from..to-1 on a board, growing with the range
 * @param fits whether they fit there; what fits, its parts do too
 * @returns undefined where nothing fits
 */
export function partition<T>(
  layers: number,
  kinds: readonly BoardKind<T>[],
  cost: (board: T, from: number, to: number) => number,
  fits: (board: T, from: number, to: number) => boolean,
): readonly PartitionStage<T>[] | undefined {
  const known = new Map<string, Best<T> | undefined>();
  const best = (from: number, left: readonly number[]): Best<T> | undefined => {
    const key = `${from}/${left.join()}`;
    if (known.has(key)) return known.get(key);
    const others = left.reduce((sum, count) => sum + count, 0) - 1;
    let found: Best<T> | undefined;
    for (const [i, { board }] of kinds.entries()) {
      if (left[i] === 0) continue;
      const rest = left.map((count, j) => (i === j ? count - 1 : count));
      for (let to = layers - others; to > from; to = others === 0 ? from : to - 1) {
        const own = cost(board, from, to);
        if (own >= (found?.slowest ?? Number.POSITIVE_INFINITY) || !fits(board, from, to)) continue;
        const after = others === 0 ? { slowest: 0, stages: [] } : best(to, rest);
        if (after === undefined) continue;
        const slowest = Math.max(own, after.slowest);
        if (slowest >= (found?.slowest ?? Number.POSITIVE_INFINITY)) continue;
        found = { slowest, stages: [{ board, from, to }, ...after.stages] };
      }
    }
    known.set(key, found);
    return found;
  };
  const counts = kinds.map(({ count }) => count);
  return best(0, counts)?.stages;
}
