import type { Rows } from '../../llm/index.js';

/**
 * Cuts `rows` into one piece for each weight, in units that stay whole, as near to the weights as units allow (largest remainders):
 * every row is in exactly one piece.
 * @param unit rows that stay together; what is left over when `rows` is no multiple goes with the last unit
 */
export function cutRows(rows: number, weights: readonly number[], unit = 1): Rows[] {
  const units = Math.ceil(rows / unit);
  const all = weights.reduce((sum, weight) => sum + weight, 0);
  const exact = weights.map((weight) => (units * weight) / all);
  const counts = exact.map(Math.floor);
  const byRemainder = exact
    .map((value, i) => ({ i, remainder: value - Math.floor(value) }))
    .sort((a, b) => b.remainder - a.remainder || a.i - b.i);
  const left = units - counts.reduce((sum, count) => sum + count, 0);
  for (const { i } of byRemainder.slice(0, left)) counts[i]!++;
  let first = 0;
  return counts.map((count) => {
    const end = Math.min(rows, first + count * unit);
    const piece = { first, count: end - first };
    first = end;
    return piece;
  });
}
