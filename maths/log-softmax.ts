import { exp } from './exp.js';
import { log } from './log.js';

/**
 * ln Σ e^logit, summed in double in the order of the ids, with the largest logit taken out so that nothing overflows.
 * The log-probability of token i is `logits[i] - logSumExp(logits)`.
 *
 * @param logits one a token, any length above 0
 * @returns NaN if a logit is NaN or +Infinity, or if all are -Infinity
 */
export function logSumExp(logits: Float32Array): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i += 1) {
    if (logits[i] > largest) largest = logits[i];
  }
  let sum = 0;
  for (let i = 0; i < logits.length; i += 1) sum += exp(logits[i] - largest);
  return largest + log(sum);
}

/**
 * The log-probabilities of `logits` under softmax at temperature 1.
 *
 * @param out one a token, as long as `logits`
 * @returns `out`
 */
export function logSoftmax(logits: Float32Array, out: Float64Array): Float64Array {
  const normaliser = logSumExp(logits);
  for (let i = 0; i < logits.length; i += 1) out[i] = logits[i] - normaliser;
  return out;
}
