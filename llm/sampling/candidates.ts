import { exp } from '../../maths/index.js';
import type { SamplingParameters } from './parameters.js';
import { selectTop } from './select-top.js';

/** Without top-k, how many of the likeliest tokens are put in order at first: nearly always more than top-p or min-p keep. */
const FIRST_SELECTIONS = [64, 1024];

/**
 * The tokens that top-k, top-p and min-p leave, in this order as in llama.cpp; probabilities are those at temperature 1
 * among the tokens that top-k leaves.
 *
 * @returns ids, likeliest first; in their own order where nothing cuts; empty if every logit is -Infinity
 */
export function selectCandidates(
  logits: Float64Array,
  { topK, topP, minP }: Pick<SamplingParameters, 'topK' | 'topP' | 'minP'>,
): number[] {
  if (topK > 0) {
    const best = selectTop(logits, topK);
    const total = topP < 1 ? sumOfWeights(logits, best, logits[best[0]]) : 0;
    return best.slice(0, countKept(logits, best, total, topP, minP));
  }
  const all: number[] = [];
  for (let id = 0; id < logits.length; id += 1) {
    if (logits[id] > Number.NEGATIVE_INFINITY) all.push(id);
  }
  if (topP === 1 && minP === 0) return all;
  const total = topP < 1 ? sumOfWeights(logits, all, largestOf(logits, all)) : 0;
  for (const count of FIRST_SELECTIONS) {
    const best = selectTop(logits, count);
    const kept = countKept(logits, best, total, topP, minP);
    if (kept < best.length) return best.slice(0, kept);
  }
  const sorted = selectTop(logits, logits.length);
  return sorted.slice(0, countKept(logits, sorted, total, topP, minP));
}

/**
 * Draws from `candidates` with the probabilities of softmax at `temperature`.
 *
 * @param temperature above 0
 * @param uniform a random number from 0 to below 1
 */
export function draw(
  logits: Float64Array,
  candidates: readonly number[],
  temperature: number,
  uniform: number,
): number {
  const largest = largestOf(logits, candidates);
  const weights = candidates.map((id) => exp((logits[id] - largest) / temperature));
  const threshold = uniform * weights.reduce((sum, weight) => sum + weight, 0);
  let reached = 0;
  for (const [i, id] of candidates.entries()) {
    reached += weights[i];
    if (reached > threshold) return id;
  }
  // Only rounding leads here: the threshold is below the sum.
  return candidates[candidates.length - 1];
}

/** How many of the tokens `sorted`, likeliest first, top-p and min-p keep: at least one of any. */
function countKept(
  logits: Float64Array,
  sorted: readonly number[],
  total: number,
  topP: number,
  minP: number,
): number {
  let reached = 0;
  for (const [i, id] of sorted.entries()) {
    const weight = exp(logits[id] - logits[sorted[0]]);
    if (weight < minP) return i;
    reached += weight;
    if (topP < 1 && reached >= topP * total) return i + 1;
  }
  return sorted.length;
}

function largestOf(logits: Float64Array, ids: readonly number[]): number {
  return ids.reduce((largest, id) => Math.max(largest, logits[id]), Number.NEGATIVE_INFINITY);
}

function sumOfWeights(logits: Float64Array, ids: readonly number[], largest: number): number {
  return ids.reduce((sum, id) => sum + exp(logits[id] - largest), 0);
}
