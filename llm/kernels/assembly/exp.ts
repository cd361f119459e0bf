const LN2_HIGH: f64 = 2977044471.0 / 4294967296.0;
const LN2_LOW: f64 = 1.9082149292705877e-10;
const LOG2E: f64 = 1.4426950408889634;
const OVERFLOW: f64 = 709.782712893384;
const UNDERFLOW: f64 = -745.1332191019412;
const LARGEST_EXPONENT: i32 = 1023;
const SMALLEST_EXPONENT: i32 = -1022;
const TWO_TO_MINUS_54: f64 = 1.0 / 18014398509481984.0;

/**
 * e^x with the bits of maths/exp.ts, operation by operation: a call from here to there costs more than the function itself.
 */
// @ts-ignore: decorator
@inline
export function exp(x: f64): f64 {
  if (!(x <= OVERFLOW)) return x > OVERFLOW ? Infinity : NaN;
  if (x < UNDERFLOW) return 0;
  // floor by truncation: armv7 has no instruction for it.
  const shifted = x * LOG2E + 0.5;
  const truncated = <i32>shifted;
  const k = truncated - i32(<f64>truncated > shifted);
  const r = x - <f64>k * LN2_HIGH - <f64>k * LN2_LOW;
  let p: f64 = 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  const power = 1.0 + (r + r * r * p);
  if (k > LARGEST_EXPONENT) return power * 2.0 * powerOfTwo(k - 1);
  if (k < SMALLEST_EXPONENT) return power * TWO_TO_MINUS_54 * powerOfTwo(k + 54);
  return power * powerOfTwo(k);
}

// @ts-ignore: decorator
@inline
function powerOfTwo(k: i32): f64 {
  return reinterpret<f64>(<u64>(<u32>(k + 1023) << 20) << 32);
}
