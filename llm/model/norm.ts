/**
 * RMSNorm of one column: out = x / sqrt(mean(x^2) + epsilon) * weight. Squares are rounded to float32 and summed in
 * double, in order; the rest is float32: llama.cpp's order, so that the 8-bit roundings after it agree.
 *
 * @param values the column starts at `at`
 * @param weight one float32 a value; its length is the column's
 * @param out receives the column at `outAt`; may be `values`
 */
export function rmsNorm(
  values: Float32Array,
  at: number,
  weight: Float32Array,
  epsilon: number,
  out: Float32Array,
  outAt: number,
): void {
  const length = weight.length;
  let sum = 0;
  for (let i = 0; i < length; i++) sum += Math.fround(values[at + i] * values[at + i]);
  const mean = Math.fround(sum / length);
  const scale = Math.fround(1 / Math.fround(Math.sqrt(Math.fround(mean + Math.fround(epsilon)))));
  for (let i = 0; i < length; i++) out[outAt + i] = Math.fround(values[at + i] * scale) * weight[i];
}
