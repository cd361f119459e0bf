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

/** What {@link expOfTwo} works with, twice each: loading a constant takes armv7 a fifth of the instructions of making it. */
const TABLE = memory.data<f64>([
  1.4426950408889634, 1.4426950408889634, // log2 e
  0.5, 0.5, // one half
  0.6931471803691238, 0.6931471803691238, // ln 2 in two parts
  1.9082149292705877e-10, 1.9082149292705877e-10,
  1.0, 1.0, // one
  1.6059043836821613e-10, 1.6059043836821613e-10, // 1 / 13!
  2.08767569878681e-09, 2.08767569878681e-09, // 1 / 12!
  2.505210838544172e-08, 2.505210838544172e-08, // 1 / 11!
  2.755731922398589e-07, 2.755731922398589e-07, // 1 / 10!
  2.7557319223985893e-06, 2.7557319223985893e-06, // 1 / 9!
  2.48015873015873e-05, 2.48015873015873e-05, // 1 / 8!
  0.0001984126984126984, 0.0001984126984126984, // 1 / 7!
  0.001388888888888889, 0.001388888888888889, // 1 / 6!
  0.008333333333333333, 0.008333333333333333, // 1 / 5!
  0.041666666666666664, 0.041666666666666664, // 1 / 4!
  0.16666666666666666, 0.16666666666666666, // 1 / 3!
  0.5, 0.5, // 1 / 2!
], 16);

/** Beyond this magnitude one by one: {@link exp}. */
export const MOST_OF_TWO: f32 = 700;

/**
 * e^x of two doubles of at most {@link MOST_OF_TWO} in magnitude, with the bits of {@link exp}; of NaN, NaN. Doubles are exact on
 * armv7 in pairs too: NEON has none, and VFP takes nothing for zero.
 */
// @ts-ignore: decorator
@inline
export function expOfTwo(x: v128): v128 {
  const shifted = f64x2.add(f64x2.mul(x, v128.load(TABLE)), v128.load(TABLE, 16));
  const truncated = i32x4.trunc_sat_f64x2_s_zero(shifted);
  // One less where truncation went up: the rest is negative.
  const rest = f64x2.sub(shifted, f64x2.convert_low_i32x4_s(truncated));
  const k = i32x4.add(truncated, i32x4.shr_s(v128.shuffle<i32>(rest, rest, 1, 3, 1, 3), 31));
  const whole = f64x2.convert_low_i32x4_s(k);
  const high = f64x2.sub(x, f64x2.mul(whole, v128.load(TABLE, 32)));
  const r = f64x2.sub(high, f64x2.mul(whole, v128.load(TABLE, 48)));
  let p = v128.load(TABLE, 80);
  p = f64x2.add(f64x2.mul(p, r), v128.load(TABLE, 96));
  p = f64x2.add(f64x2.mul(p, r), v128.load(TABLE, 112));
  p = f64x2.add(f64x2.mul(p, r), v128.load(TABLE, 128));
  p = f64x2.add(f64x2.mul(p, r), v128.load(TABLE, 144));
  p = f64x2.add(f64x2.mul(p, r), v128.load(TABLE, 160));
  p = f64x2.add(f64x2.mul(p, r), v128.load(TABLE, 176));
  p = f64x2.add(f64x2.mul(p, r), v128.load(TABLE, 192));
  p = f64x2.add(f64x2.mul(p, r), v128.load(TABLE, 208));
  p = f64x2.add(f64x2.mul(p, r), v128.load(TABLE, 224));
  p = f64x2.add(f64x2.mul(p, r), v128.load(TABLE, 240));
  p = f64x2.add(f64x2.mul(p, r), v128.load(TABLE, 256));
  const more = f64x2.add(r, f64x2.mul(f64x2.mul(r, r), p));
  const exponents = i32x4.shl(i32x4.add(k, i32x4.splat(1023)), 20);
  const power = v128.shuffle<i32>(i32x4.splat(0), exponents, 0, 4, 1, 5);
  return f64x2.mul(f64x2.add(v128.load(TABLE, 64), more), power);
}
