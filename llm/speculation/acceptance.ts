/** How much the latest outcome counts. */
const WEIGHT = 0.2;
/** Before anything is known: how often a draft is right by how many tokens it was found by, up to so many. */
const FIRST_GUESSES = [
  { upTo: 1, rate: 0.3 },
  { upTo: 2, rate: 0.55 },
  { upTo: 4, rate: 0.7 },
  { upTo: 8, rate: 0.85 },
  { upTo: Number.POSITIVE_INFINITY, rate: 0.95 },
] as const;

/**
 * How often drafted tokens have been right lately. The more tokens before it agree with the place that it was found at, the
 * likelier a drafted token is right; so each class of that number has a rate of its own.
 */
export class Acceptance {
  readonly #rates: number[] = FIRST_GUESSES.map(({ rate }) => rate);

  /** @param matched tokens before the drafted one that agree @returns 0 to 1 */
  rate(matched: number): number {
    return this.#rates[classOf(matched)];
  }

  /** A drafted token turned out right or wrong. */
  record(matched: number, right: boolean): void {
    const its = classOf(matched);
    this.#rates[its] += WEIGHT * ((right ? 1 : 0) - this.#rates[its]);
  }
}

function classOf(matched: number): number {
  return FIRST_GUESSES.findIndex(({ upTo }) => matched <= upTo);
}
