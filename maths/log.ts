import { exp, LN2_HIGH, LN2_LOW } from './exp.js';

const bits = new DataView(new ArrayBuffer(8));
const TWO_TO_54 = 0x40000000000000;
const SQRT_HALF = Math.sqrt(0.5);

/**
 * The natural logarithm of x, the same bits on every machine: only double +, -, *, / and moves of bits.
 *
 * Method: x = m 2^e with m from sqrt(1/2) to sqrt(2), then ln m = 2 artanh s with s = (m - 1) / (m + 1), |s| < 0.172, whose
 * series is summed to s^23 (the rest is below 1e-19 of the sum). Within 2 units in the last place.
 *
 * @returns -Infinity for 0, NaN below 0
 */
export function log(x: number): number {
  if (!(x > 0)) return x === 0 ? Number.NEGATIVE_INFINITY : Number.NaN;
  if (x === Number.POSITIVE_INFINITY) return x;
  const isSubnormal = x < 2.2250738585072014e-308;
  bits.setFloat64(0, isSubnormal ? x * TWO_TO_54 : x);
  const high = bits.getInt32(0);
  let e = (high >> 20) - 1022 - (isSubnormal ? 54 : 0);
  // Exponent field 1022: the mantissa as a number from 1/2 to 1.
  bits.setInt32(0, (high & 0xfffff) | (1022 << 20));
  let m = bits.getFloat64(0);
  if (m < SQRT_HALF) {
    m *= 2;
    e -= 1;
  }
  const s = (m - 1) / (m + 1);
  const q = s * s;
  let p = 1 / 23;
  p = p * q + 1 / 21;
  p = p * q + 1 / 19;
  p = p * q + 1 / 17;
  p = p * q + 1 / 15;
  p = p * q + 1 / 13;
  p = p * q + 1 / 11;
  p = p * q + 1 / 9;
  p = p * q + 1 / 7;
  p = p * q + 1 / 5;
  p = p * q + 1 / 3;
  return e * LN2_HIGH + (2 * s + (2 * s * q * p + e * LN2_LOW));
}

/**
 * base^exponent for a base above zero, as e^(exponent ln base), the same bits on every machine. The relative error grows
 * with the result's logarithm: about |exponent ln base| * 2e-16, that is 3e-15 for the frequencies of RoPE.
 *
 * @returns NaN where base is not above zero
 */
export function pow(base: number, exponent: number): number {
  return base > 0 ? exp(exponent * log(base)) : Number.NaN;
}
