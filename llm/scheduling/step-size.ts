/** A step with pieces of prompts may cost so many times a plain one while others wait for their next token. */
const PROMPT_BUDGET = 3;
/** More columns are not worth waiting for where a column costs at most so many times what it costs in the best step. */
const DEARER = 1.03;

/**
 * How many columns a step may have: one for each sequence that generates, and as many more for prompts and drafts as pay.
 * Beside interactive sequences that generate, prompts are cut smaller, so that these get their tokens in time.
 *
 * @param most columns that the model takes
 * @param paying see {@link columnsThatPay}
 * @param generating sequences that wait for their next token, and `typing` the interactive ones of them
 * @param cycles what a step of so many columns costs, so many of which want logits; 0 where the core has no part in it
 */
export function stepColumns(
  most: number,
  paying: number,
  generating: number,
  typing: number,
  cycles: (columns: number, logits?: number) => number,
): number {
  const all = Math.min(most, generating + paying);
  if (typing === 0) return all;
  let columns = Math.min(typing, most);
  const budget = PROMPT_BUDGET * cycles(columns);
  while (columns < all && cycles(columns + 1, typing) <= budget) columns++;
  return columns;
}

/**
 * How many columns for prompts and drafts pay: the core computes a long step hardly cheaper than two short ones, and who
 * comes meanwhile waits for its end. Always the same for a model on its board.
 *
 * @param most columns that the model takes
 * @param page tokens of a page of keys and values: prompts that begin alike share whole pages
 * @param cycles as for {@link stepColumns}
 */
export function columnsThatPay(
  most: number,
  page: number,
  cycles: (columns: number, logits?: number) => number,
): number {
  if (cycles(most, 0) === 0) return most;
  let best = Number.POSITIVE_INFINITY;
  for (let columns = 1; columns <= most; columns++) best = Math.min(best, cycles(columns, 0) / columns);
  let columns = 1;
  while (columns < most && cycles(columns, 0) / columns > DEARER * best) columns++;
  return Math.min(most, Math.ceil(columns / page) * page);
}
