/** One figure. `ratio` = value / baseline, where the same run measured a baseline. */
export interface BenchRow {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline: number | null;
  readonly ratio: number | null;
}

export interface BenchOptions {
  /** Shorter runs and a small model. */
  readonly quick: boolean;
  readonly onNote: (what: string) => void;
}

/** A row; with a baseline its ratio follows. */
export function row(name: string, value: number, unit: string, baseline: number | null = null): BenchRow {
  return { name, value, unit, baseline, ratio: baseline === null ? null : value / baseline };
}

/** The middle value; of an even number the upper of the two. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}
