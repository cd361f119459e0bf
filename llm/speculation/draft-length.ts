/** More drafted tokens in a row are hardly ever right, and each needs a column and logits of its own. */
export const MAX_DRAFT = 8;

/** How much the latest outcome counts. */
const WEIGHT = 0.2;
/** Before anything is known, a draft is rather right than wrong: few tokens come twice in a row by chance. */
const FIRST_GUESS = 0.6;

/** How often drafted tokens have been right lately. */
export class Acceptance {
  #rate = FIRST_GUESS;

  /** 0 to 1. */
  get rate(): number {
    return this.#rate;
  }

  /** A drafted token turned out right or wrong. */
  record(right: boolean): void {
    this.#rate += WEIGHT * ((right ? 1 : 0) - this.#rate);
  }
}

/**
 * How many tokens to draft: what gives the most tokens for the cycles of a step, 0 if nothing beats a plain one.
 * With k drafted tokens, each right with probability p as long as those before were, a step yields 1 + p + … + p^k.
 *
 * @param rate p
 * @param most what the draft, the step and the context have room for
 * @param cycles what a step of so many columns costs; only ratios matter
 */
export function draftLength(rate: number, most: number, cycles: (columns: number) => number): number {
  let best = 0;
  let bestYield = 1 / cycles(1);
  let tokens = 1;
  let probability = 1;
  for (let k = 1; k <= Math.min(most, MAX_DRAFT); k++) {
    probability *= rate;
    tokens += probability;
    const perCycle = tokens / cycles(1 + k);
    if (perCycle > bestYield) {
      best = k;
      bestYield = perCycle;
    }
  }
  return best;
}
