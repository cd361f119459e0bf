import { exactExp } from './exact-exp.js';

const { fround } = Math;
const TILE = 256;
const LOWEST = -3.4028234663852886e38;

/** One row for the SOFT_MAX unit; numbers are float32 values. */
export interface SoftmaxRow {
  readonly logits: readonly number[];
  readonly scale: number;
  readonly slope: number;
  readonly mask?: readonly number[];
  readonly sink?: number;
}

/**
 * What the manual says of SOFT_MAX ("Revision v4", arithmetic), written down once more from the text alone: double
 * operations, each rounded to float32 where the text says so, and the exponential by integers. Golden vectors are
 * made with it.
 */
export function plainSoftmax({ logits, scale, slope, mask, sink }: SoftmaxRow): number[] {
  const x = logits.map((logit, i) => {
    const scaled = fround(logit * scale);
    return mask === undefined ? scaled : fround(scaled + fround(slope * mask[i]));
  });
  const expf = (value: number): number => fround(exactExp(value));
  let max = LOWEST;
  let sum = 0;
  for (let at = 0; at < x.length; at += TILE) {
    const tile = x.slice(at, at + TILE);
    const before = max;
    for (const value of tile) if (value > max) max = value;
    const part = tile.reduce((total, value) => total + expf(fround(value - max)), 0);
    sum = sum * expf(fround(before - max)) + part;
  }
  if (sink !== undefined) {
    if (sink > max) {
      sum *= expf(fround(max - sink));
      max = sink;
    }
    sum += expf(fround(sink - max));
  }
  const reciprocal = fround(1 / sum);
  return x.map((value) => fround(expf(fround(value - max)) * reciprocal));
}
