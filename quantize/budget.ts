import { PynqLlmError } from '../errors/index.js';
import type { Candidate, MeasuredTensor } from './measure.js';

/**
 * Types for tensors, so that all together take at most `budgetBytes` and the sum of their relative errors is small: from the
 * smallest types up, always the step that takes most error off for a byte. What each matrix adds to a layer's result is off by
 * its relative error, so those are summed by their weights, whatever the size.
 *
 * @param givenBytes what others take of the budget
 * @returns the chosen candidate of each tensor
 * @throws PynqLlmError QUANTIZE_BUDGET where not even the smallest types fit
 */
export function chooseWithin(
  tensors: readonly MeasuredTensor[],
  budgetBytes: number,
  givenBytes = 0,
): Candidate[] {
  const chosen = tensors.map(({ candidates }) => candidates[0]);
  let bytes = chosen.reduce((sum, candidate) => sum + candidate.bytes, givenBytes);
  if (bytes > budgetBytes)
    throw new PynqLlmError(
      'QUANTIZE_BUDGET',
      `The matrices take ${bytes} bytes in the smallest types, ${givenBytes} of them in types that are given, and the budget is ${budgetBytes}.`,
      { context: { bytes, budgetBytes } },
    );
  for (;;) {
    let best: { index: number; to: Candidate; gain: number } | undefined;
    for (const [index, { candidates, weight }] of tensors.entries()) {
      const step = bestStep(candidates, chosen[index], budgetBytes - bytes);
      if (step === undefined) continue;
      const gain = weight * step.gain;
      if (best === undefined || gain > best.gain) best = { index, to: step.to, gain };
    }
    if (best === undefined) return chosen;
    bytes += best.to.bytes - chosen[best.index].bytes;
    chosen[best.index] = best.to;
  }
}

/** The larger type that takes most error off for a byte, of those that still fit. */
function bestStep(
  candidates: readonly Candidate[],
  from: Candidate,
  left: number,
): { to: Candidate; gain: number } | undefined {
  let best: { to: Candidate; gain: number } | undefined;
  for (const to of candidates) {
    const more = to.bytes - from.bytes;
    if (more <= 0 || more > left || to.error >= from.error) continue;
    const gain = (from.error - to.error) / more;
    if (best === undefined || gain > best.gain) best = { to, gain };
  }
  return best;
}
