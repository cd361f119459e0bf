/**
 * Work that may be put off at every `yield` in favour of other work: its result is the same however often it is. What lies
 * between two of them has to be short: {@link PAUSE_AFTER} characters, merges or the like.
 */
export type Pausable<Result> = Generator<undefined, Result, void>;

/** Units of work between two pauses: under 1 ms on x86-64, some 50 ms on a slow board. */
export const PAUSE_AFTER = 1_024;

/** Does the work without a pause. */
export function runToEnd<Result>(work: Pausable<Result>): Result {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}
