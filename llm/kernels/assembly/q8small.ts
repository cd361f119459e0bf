import { floatToHalf, halfToFloat } from '../../../gguf/assembly/half';

/** Values of a block, and its bytes here: d and s, both float32, and 32 int8. */
export const SMALL: usize = 32;
export const Q8_SMALL_BYTES: usize = 40;

/** 1.5 * 2^23: adding it in float32 leaves an integer, rounded to nearest, ties to even. */
const ROUND: f32 = 12582912;

/**
 * Quantises activations in blocks of 32, as llama.cpp does for Q4_0 to Q8_0 (Q8_0, and Q8_1 with the sum): d is the largest magnitude
 * divided by 127, rounded to a half; s is the sum of the quants times d before it is rounded, as a half. Scalar: what NEON
 * takes for zero may be a block's largest.
 *
 * @param values `count` float32, `count` a multiple of 32
 * @param blocks receives count / 32 * 40 bytes
 */
export function quantizeQ8Small(values: usize, count: i32, blocks: usize): void {
  for (const end = values + (<usize>count << 2); values < end; values += SMALL << 2) {
    let magnitude: f32 = 0;
    for (let at: usize = 0; at < SMALL << 2; at += 4) magnitude = max(magnitude, abs(load<f32>(values + at)));
    // An infinity or NaN makes the scale one, and all quants 0.
    const inverse: f32 = magnitude > 0 && magnitude < Infinity ? 127 / magnitude : 0;
    const d = magnitude / 127;
    let sum = 0;
    for (let i: usize = 0; i < SMALL; i++) {
      const rounded = load<f32>(values + (i << 2)) * inverse + ROUND - ROUND;
      const quant = abs<f32>(rounded) <= 127 ? <i32>rounded : 0;
      store<i8>(blocks + 8 + i, quant);
      sum += quant;
    }
    store<f32>(blocks, halfToFloat(floatToHalf(d)));
    store<f32>(blocks, halfToFloat(floatToHalf(d * <f32>sum)), 4);
    blocks += Q8_SMALL_BYTES;
  }
}
