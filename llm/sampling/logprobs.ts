import { PynqLlmError } from '../../errors/index.js';
import { logSumExp } from '../../maths/index.js';
import { selectTop } from './select-top.js';

/** A token and the natural logarithm of its probability under the model: softmax at temperature 1, nothing cut off. */
export interface TokenLogprob {
  readonly id: number;
  readonly logprob: number;
}

/**
 * The logarithm of the sum of the exponentials of `logits`: a token's log-probability is its logit less this.
 *
 * @throws PynqLlmError LLM_NOT_FINITE
 */
export function normaliserOf(logits: Float32Array): number {
  const normaliser = logSumExp(logits);
  if (Number.isFinite(normaliser)) return normaliser;
  throw notFinite();
}

/** Refuses what {@link normaliserOf} refuses, without an exponential of each. @throws PynqLlmError LLM_NOT_FINITE */
export function checkFinite(logits: Float32Array): void {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i += 1) {
    if (!(logits[i] < Number.POSITIVE_INFINITY)) throw notFinite();
    if (logits[i] > largest) largest = logits[i];
  }
  if (largest === Number.NEGATIVE_INFINITY) throw notFinite();
}

function notFinite(): PynqLlmError {
  return new PynqLlmError('LLM_NOT_FINITE', 'The logits of a step hold a NaN or an infinity.');
}

/**
 * The `count` likeliest tokens, likeliest first, of equal ones the lower id first.
 *
 * @param logits one a token of the vocabulary
 * @throws PynqLlmError LLM_NOT_FINITE
 */
export function topLogprobs(logits: Float32Array, count: number): TokenLogprob[] {
  const normaliser = normaliserOf(logits);
  return selectTop(logits, count).map((id) => ({ id, logprob: logits[id] - normaliser }));
}
