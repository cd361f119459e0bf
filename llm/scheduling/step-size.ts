/** A step with pieces of prompts may cost so many times a plain one while others wait for their next token. */
const PROMPT_BUDGET = 4;

/**
 * How many columns a step may have. Prompts alone fill it; beside sequences that generate they are cut smaller, so
 * that these get their tokens in time.
 *
 * @param most columns that the model takes
 * @param generating sequences that wait for their next token
 * @param cycles what a step of so many columns costs; 0 where the core has no part in it
 */
export function stepColumns(most: number, generating: number, cycles: (columns: number) => number): number {
  if (generating === 0) return most;
  const budget = PROMPT_BUDGET * cycles(Math.min(generating, most));
  let columns = Math.min(generating, most);
  while (columns < most && cycles(columns + 1) <= budget) columns++;
  return columns;
}
