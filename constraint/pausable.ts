/**
 * Work that may be put off at every `yield` in favour of other work: its result is the same however often it is. What lies
 * between two of them has to be short: {@link PAUSE_AFTER} characters, merges or the like.
 * A pause that `waits` is one for something that others do: going on at once would do nothing.
 */
export type Pausable<Result> = Generator<'waits' | undefined, Result, void>;

/** Units of work between two pauses: under 1 ms on x86-64, some 50 ms on a slow board. */
export const PAUSE_AFTER = 1_024;

/** Does the work without a pause. */
export function runToEnd<Result>(work: Pausable<Result>): Result {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** The items in order, as `toSorted` gives them. */
export function* sortPausably<Item>(
  items: readonly Item[],
  compare: (a: Item, b: Item) => number,
): Pausable<Item[]> {
  let runs: Item[][] = [];
  for (let start = 0; start < items.length; start += PAUSE_AFTER) {
    runs.push(items.slice(start, start + PAUSE_AFTER).toSorted(compare));
    yield;
  }
  while (runs.length > 1) {
    const merged: Item[][] = [];
    for (let i = 0; i < runs.length; i += 2)
      merged.push(yield* mergeRuns(runs[i], runs[i + 1] ?? [], compare));
    runs = merged;
  }
  return runs[0] ?? [];
}

function* mergeRuns<Item>(
  left: readonly Item[],
  right: readonly Item[],
  compare: (a: Item, b: Item) => number,
): Pausable<Item[]> {
  const merged: Item[] = [];
  for (let i = 0, j = 0; i < left.length || j < right.length; ) {
    const isLeft = j === right.length || (i < left.length && compare(left[i], right[j]) <= 0);
    merged.push(isLeft ? left[i++] : right[j++]);
    if (merged.length % PAUSE_AFTER === 0) yield;
  }
  return merged;
}
