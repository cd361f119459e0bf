/** Exponents of the doubles that are not subnormal. */
const SMALLEST_EXPONENT = -1022;
const LARGEST_EXPONENT = 1023;
/** `POWERS_OF_TWO[k - SMALLEST_EXPONENT]` is 2^k, by exact doubling. */
const POWERS_OF_TWO = new Float64Array(LARGEST_EXPONENT - SMALLEST_EXPONENT + 1);
POWERS_OF_TWO[0] = 2.2250738585072014e-308;
for (let i = 1; i < POWERS_OF_TWO.length; i += 1) POWERS_OF_TWO[i] = POWERS_OF_TWO[i - 1] * 2;
const TWO_TO_MINUS_54 = 1 / 0x40000000000000;

/** ln 2 in two parts (Cody & Waite): the first has 32 significant bits, so that k * LN2_HIGH is exact for |k| < 2^21. */
export const LN2_HIGH = 0xb17217f7 / 0x100000000;
export const LN2_LOW = 1.9082149292705877e-10;

/** Above this e^x exceeds the largest double; below the other it rounds to zero. */
const OVERFLOW = 709.782712893384;
const UNDERFLOW = -745.1332191019412;

/**
 * e^x, the same bits on every machine: only double +, -, * and floor, which IEEE 754 defines exactly.
 *
 * Method (Cody & Waite, Software Manual for the Elementary Functions, 1980): x = k ln 2 + r with |r| <= ln 2 / 2, then the
 * Taylor polynomial of e^r to degree 13 (its rest is below 5e-18, 1/40 of a unit in the last place), then times 2^k, which
 * is exact unless the result is subnormal. Within 1 unit in the last place; of a float32, and rounded to float32, it is
 * the rounded exact value (test/long/softmax-exp.test.ts tries them all).
 */
export function exp(x: number): number {
  if (!(x <= OVERFLOW)) return x > OVERFLOW ? Number.POSITIVE_INFINITY : Number.NaN;
  if (x < UNDERFLOW) return 0;
  const k = Math.floor(x * Math.LOG2E + 0.5);
  const r = x - k * LN2_HIGH - k * LN2_LOW;
  let p = 1 / 6227020800;
  p = p * r + 1 / 479001600;
  p = p * r + 1 / 39916800;
  p = p * r + 1 / 3628800;
  p = p * r + 1 / 362880;
  p = p * r + 1 / 40320;
  p = p * r + 1 / 5040;
  p = p * r + 1 / 720;
  p = p * r + 1 / 120;
  p = p * r + 1 / 24;
  p = p * r + 1 / 6;
  p = p * r + 1 / 2;
  const power = 1 + (r + r * r * p);
  // 2^1024 is no double and 2^k below 2^-1022 is subnormal: scale in two steps, of which only the last rounds.
  if (k > LARGEST_EXPONENT) return power * 2 * POWERS_OF_TWO[k - 1 - SMALLEST_EXPONENT];
  if (k < SMALLEST_EXPONENT) return power * TWO_TO_MINUS_54 * POWERS_OF_TWO[k + 54 - SMALLEST_EXPONENT];
  return power * POWERS_OF_TWO[k - SMALLEST_EXPONENT];
}
