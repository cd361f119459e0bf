/** How much a step still counts after the next one. */
const KEPT = 0.95;
/** Tokens after which a text is thought to end before any has: what is asked for without a limit is about as long. */
const FIRST_LENGTH = 256;

/**
 * How fast steps are and how long texts become, seen so far. Steps are measured by what they cost the core, so that one of
 * many columns says something about one of few.
 */
export class Pace {
  #ms = 0;
  #cost = 0;
  #ends = 1;
  #tokens = FIRST_LENGTH;

  /** @param msPerCost by the board's timing, until a step was seen; undefined where its clock is not kept to */
  constructor(readonly msPerCost: number | undefined) {}

  /** A step took so long. @param cost its core cycles */
  step(ms: number, cost: number): void {
    this.#ms = this.#ms * KEPT + ms;
    this.#cost = this.#cost * KEPT + cost;
  }

  /** A text ended. @param itself whether it did so before something cut it off */
  end(tokens: number, itself: boolean): void {
    this.#tokens += tokens;
    if (itself) this.#ends++;
  }

  /** Milliseconds of a step of that cost; undefined while nothing is known. */
  msOf(cost: number): number | undefined {
    const ratio = this.#cost > 0 ? this.#ms / this.#cost : this.msPerCost;
    return ratio === undefined ? undefined : ratio * cost;
  }

  /**
   * How many tokens a text is likely to get that may have `most`: each of them is as likely to be the last one as those before
   * were, whatever length they were cut off at.
   */
  lengthOf(most: number): number {
    const end = Math.min(1, this.#ends / this.#tokens);
    return Math.ceil((1 - (1 - end) ** most) / end);
  }
}
