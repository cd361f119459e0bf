import { PynqLlmError } from '../errors/index.js';
import { Q8K_BYTES, SUPER_BLOCK } from './types.js';

const float = new Float32Array(1);
const floatBytes = new Uint8Array(float.buffer);

/** 1.5 * 2**23: adding it in float32 leaves an integer, rounded to nearest, ties to even. */
const ROUND = 12582912;

/**
 * Quantises activations to Q8_K (manual, end of "Arithmetic"; `quantize_row_q8_K` of llama.cpp), every step in
 * float32. Per super-block of 256 values: 4 bytes float32 d, 256 int8 quants, 16 int16 sums of 16 quants.
 * NaN becomes the quant 0; an infinity makes d infinite. Allocates nothing.
 *
 * @param values float32 activations
 * @param valueOffset index of the first value
 * @param count number of values, a multiple of 256
 * @param out receives count/256 * 292 bytes; no alignment needed
 * @param outOffset byte offset in `out`
 * @throws PynqLlmError GGUF_BAD_RANGE
 */
export function quantizeQ8K(
  values: Float32Array,
  valueOffset: number,
  count: number,
  out: Uint8Array,
  outOffset: number,
): void {
  const blocks = count / SUPER_BLOCK;
  const outside =
    !(valueOffset >= 0 && outOffset >= 0) ||
    valueOffset + count > values.length ||
    outOffset + blocks * Q8K_BYTES > out.length;
  if (!Number.isInteger(blocks) || outside) {
    throw new PynqLlmError(
      'GGUF_BAD_RANGE',
      `${count} values at ${valueOffset} of ${values.length} do not fill whole Q8_K blocks at byte ${outOffset} of ${out.length}.`,
      {
        context: { count, valueOffset, outOffset, outBytes: out.length },
      },
    );
  }
  for (let block = 0; block < blocks; block++) {
    quantizeBlock(values, valueOffset + block * SUPER_BLOCK, out, outOffset + block * Q8K_BYTES);
  }
}

function quantizeBlock(values: Float32Array, from: number, out: Uint8Array, to: number): void {
  let max = 0;
  let magnitude = 0;
  for (let i = from; i < from + SUPER_BLOCK; i++) {
    const value = values[i];
    const absolute = Math.abs(value);
    if (absolute > magnitude) {
      magnitude = absolute;
      max = value;
    }
  }
  if (magnitude === 0) {
    out.fill(0, to, to + Q8K_BYTES);
    return;
  }
  const inverseScale = Math.fround(-127 / max);
  float[0] = 1 / inverseScale;
  out[to] = floatBytes[0];
  out[to + 1] = floatBytes[1];
  out[to + 2] = floatBytes[2];
  out[to + 3] = floatBytes[3];
  let quantAt = to + 4;
  let sumAt = to + 4 + SUPER_BLOCK;
  for (let i = from; i < from + SUPER_BLOCK; sumAt += 2) {
    let sum = 0;
    for (const end = i + 16; i < end; i++) {
      // Capped as the manual says; magnitudes exceed 127 only by a rounding error, so -128 cannot occur.
      const rounded = (Math.fround(Math.fround(values[i] * inverseScale) + ROUND) - ROUND) | 0;
      const quant = Math.min(rounded, 127);
      out[quantAt++] = quant;
      sum += quant;
    }
    out[sumAt] = sum;
    out[sumAt + 1] = sum >> 8;
  }
}
