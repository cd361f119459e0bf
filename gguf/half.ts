/**
 * IEEE 754 binary16 and bfloat16, as 16-bit patterns. Conversions to float32 are exact (subnormals and
 * infinities included); from float32 they round to nearest, ties to even. Any NaN becomes a quiet NaN.
 */

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);
/** All 65536 values: 256 KiB buys one load per conversion in the inner loops. */
const halves = new Float32Array(0x10000);

for (let pattern = 0; pattern < 0x10000; pattern++) halves[pattern] = decodeHalf(pattern);

/** @param pattern 0..65535 @returns the value, a float32 */
export function halfToFloat(pattern: number): number {
  return halves[pattern];
}

/** @param value a float32 (other numbers are first rounded to one) @returns 0..65535 */
export function floatToHalf(value: number): number {
  float[0] = value;
  const sign = (bits[0] >>> 16) & 0x8000;
  const magnitude = bits[0] & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65520 lies half-way between the largest half and 2**16, and ties go to even: infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  // Below 2**-14 a half counts units of 2**-24; adding 1.5 * 2**52 rounds the exact double to an integer.
  if (magnitude < 0x38800000) return sign | (Math.abs(float[0]) * 2 ** 24 + 1.5 * 2 ** 52 - 1.5 * 2 ** 52);
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - ((127 - 15) << 23)) >>> 13);
}

/** @param pattern 0..65535 @returns the value, a float32 */
export function bfloatToFloat(pattern: number): number {
  bits[0] = pattern << 16;
  return float[0];
}

/** @param value a float32 (other numbers are first rounded to one) @returns 0..65535 */
export function floatToBfloat(value: number): number {
  float[0] = value;
  if ((bits[0] & 0x7fffffff) > 0x7f800000) return (bits[0] >>> 16) | 0x40;
  return (bits[0] + 0x7fff + ((bits[0] >>> 16) & 1)) >>> 16;
}

function decodeHalf(pattern: number): number {
  const sign = pattern & 0x8000 ? -1 : 1;
  const exponent = (pattern >>> 10) & 31;
  const fraction = pattern & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}
