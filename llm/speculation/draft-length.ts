/** More drafted tokens in a row are hardly ever right, and each needs a column and logits of its own. */
export const MAX_DRAFT = 8;

/**
 * How many tokens to draft: what gives the most tokens for the cycles of a step, 0 if nothing beats a plain one.
 * With k drafted tokens a step yields 1 + p1 + p1·p2 + … + p1·…·pk.
 *
 * @param rate p of the drafted token of this number, from 1, if those before it are right
 * @param most what the draft, the step and the context have room for
 * @param cycles what a step of so many columns costs; only ratios matter
 */
export function draftLength(
  rate: (number: number) => number,
  most: number,
  cycles: (columns: number) => number,
): number {
  let best = 0;
  let bestYield = 1 / cycles(1);
  let tokens = 1;
  let probability = 1;
  for (let k = 1; k <= Math.min(most, MAX_DRAFT); k++) {
    probability *= rate(k);
    tokens += probability;
    const perCycle = tokens / cycles(1 + k);
    if (perCycle > bestYield) {
      best = k;
      bestYield = perCycle;
    }
  }
  return best;
}
