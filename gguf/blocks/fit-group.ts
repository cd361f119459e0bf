/**
 * Scale and offset of a group of weights, as real numbers: x is approximated by scale * q - min, q integer.
 * Searched over a few roundings, each refined by least squares, as K-quant quantisers do.
 */
export interface GroupFit {
  scale: number;
  /** Not negative; 0 for symmetric types. */
  min: number;
}

/** Candidate step widths around the one that just spans the range, as shifts of the number of levels. */
const SHIFTS = [-1, -0.8, -0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6, 0.8, 1];

/** For types with mins (Q2_K, Q4_K, Q5_K): q in 0..`levels`. */
export function fitWithMin(values: Float32Array, from: number, count: number, levels: number): GroupFit {
  let low = 0;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = from; i < from + count; i++) {
    low = Math.min(low, values[i]);
    high = Math.max(high, values[i]);
  }
  if (high <= low) return { scale: 0, min: -low };
  let best: GroupFit = { scale: (high - low) / levels, min: -low };
  let bestError = errorOf(values, from, count, best, 0, levels);
  for (const shift of SHIFTS) {
    const step = (high - low) / (levels + shift);
    const refined = refineWithMin(values, from, count, levels, { scale: step, min: -low });
    const error = errorOf(values, from, count, refined, 0, levels);
    if (error < bestError) [best, bestError] = [refined, error];
  }
  return best;
}

/** For types without (Q3_K, Q6_K): q in `lowest`..-`lowest` - 1; the value of largest magnitude takes `lowest`. */
export function fitSymmetric(values: Float32Array, from: number, count: number, lowest: number): GroupFit {
  let extreme = 0;
  for (let i = from; i < from + count; i++) {
    if (Math.abs(values[i]) > Math.abs(extreme)) extreme = values[i];
  }
  let best: GroupFit = { scale: extreme / lowest, min: 0 };
  if (extreme === 0) return best;
  let bestError = errorOf(values, from, count, best, lowest, -lowest - 1);
  for (const shift of SHIFTS) {
    const scale = extreme / (lowest + shift);
    const refined = refineSymmetric(values, from, count, lowest, scale);
    const error = errorOf(values, from, count, refined, lowest, -lowest - 1);
    if (error < bestError) [best, bestError] = [refined, error];
  }
  return best;
}

/** The integer of a value under a fit, within the range. A scale of zero has but one value. */
export function quantOf(value: number, fit: GroupFit, lowest: number, highest: number): number {
  if (fit.scale === 0) return Math.max(lowest, Math.min(highest, 0));
  return Math.max(lowest, Math.min(highest, Math.round((value + fit.min) / fit.scale)));
}

function errorOf(
  values: Float32Array,
  from: number,
  count: number,
  fit: GroupFit,
  lowest: number,
  highest: number,
): number {
  let error = 0;
  for (let i = from; i < from + count; i++) {
    const difference = values[i] - (fit.scale * quantOf(values[i], fit, lowest, highest) - fit.min);
    error += difference * difference;
  }
  return error;
}

/** Least squares of x = scale * q - min over the integers that `start` gives; min is kept from going negative. */
function refineWithMin(
  values: Float32Array,
  from: number,
  count: number,
  levels: number,
  start: GroupFit,
): GroupFit {
  let [sumQ, sumQQ, sumX, sumQX] = [0, 0, 0, 0];
  for (let i = from; i < from + count; i++) {
    const q = quantOf(values[i], start, 0, levels);
    sumQ += q;
    sumQQ += q * q;
    sumX += values[i];
    sumQX += q * values[i];
  }
  const determinant = count * sumQQ - sumQ * sumQ;
  if (determinant <= 0) return start;
  const scale = (count * sumQX - sumQ * sumX) / determinant;
  const min = (sumQ * sumQX - sumQQ * sumX) / determinant;
  return min >= 0 ? { scale, min } : { scale: sumQX / sumQQ, min: 0 };
}

function refineSymmetric(
  values: Float32Array,
  from: number,
  count: number,
  lowest: number,
  scale: number,
): GroupFit {
  const start = { scale, min: 0 };
  let [sumQQ, sumQX] = [0, 0];
  for (let i = from; i < from + count; i++) {
    const q = quantOf(values[i], start, lowest, -lowest - 1);
    sumQQ += q * q;
    sumQX += q * values[i];
  }
  return sumQQ > 0 ? { scale: sumQX / sumQQ, min: 0 } : start;
}
