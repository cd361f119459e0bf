import { PynqLlmError } from '../errors/index.js';
import { SUPER_BLOCK_CODECS } from './blocks/codecs.js';
import { newSuperBlock } from './blocks/super-block.js';
import { CORE_BLOCK_BYTES, type CoreType, Q8K_BYTES, SUPER_BLOCK } from './types.js';

const block = newSuperBlock();
const float = new Float32Array(1);
const floatBytes = new Uint8Array(float.buffer);

/**
 * One result of the core: a weight row times an input row (manual, "Arithmetic", steps 1 to 5). Sums of products
 * are exact in int32; each float32 step is rounded by itself, and super-blocks are added in order from +0.0.
 * Plain and complete rather than fast: the reference for the mock's kernel, and the CPU path for odd shapes.
 *
 * @param coreType 2..6 for Q2_K..Q6_K
 * @param weights GGUF blocks; the row's kb blocks start at byte `w0`, without padding
 * @param inputs Q8_K blocks; the row's kb blocks of 292 bytes start at byte `i0`
 * @param kb super-blocks in the row; 0 gives +0.0
 * @returns a float32
 * @throws PynqLlmError GGUF_BAD_RANGE when blocks lie outside the arrays
 */
export function multiplyBlockRow(
  coreType: CoreType,
  weights: Uint8Array,
  w0: number,
  inputs: Uint8Array,
  i0: number,
  kb: number,
): number {
  const codec = SUPER_BLOCK_CODECS[coreType];
  const stride = CORE_BLOCK_BYTES[coreType];
  if (!(w0 >= 0 && i0 >= 0) || w0 + kb * stride > weights.length || i0 + kb * Q8K_BYTES > inputs.length) {
    throw new PynqLlmError(
      'GGUF_BAD_RANGE',
      `${kb} super-blocks at ${w0} of ${weights.length} weight bytes and at ${i0} of ${inputs.length} input bytes are not there.`,
      { context: { kb, w0, i0, weightBytes: weights.length, inputBytes: inputs.length } },
    );
  }
  let result = 0;
  for (let k = 0; k < kb; k++) {
    codec.unpack(weights, w0 + k * stride, block);
    const input = i0 + k * Q8K_BYTES;
    const inputScale = readFloat(inputs, input);
    const products = Math.fround(sumProducts(inputs, input + 4));
    let partial = Math.fround(products * Math.fround(block.d * inputScale));
    if (codec.hasMins) {
      const mins = Math.fround(sumMins(inputs, input + 4 + SUPER_BLOCK));
      partial = Math.fround(partial - Math.fround(mins * Math.fround(block.dmin * inputScale)));
    }
    result = Math.fround(result + partial);
  }
  return result;
}

/** Step 1: at most 16 groups * 16 products * 32 * 128 * scale 128, which stays below 2**31. */
function sumProducts(inputs: Uint8Array, at: number): number {
  let total = 0;
  for (let group = 0; group < 16; group++) {
    let sum = 0;
    for (let i = group * 16; i < group * 16 + 16; i++) {
      sum = (sum + block.quants[i] * ((inputs[at + i] << 24) >> 24)) | 0;
    }
    total = (total + sum * block.scales[group]) | 0;
  }
  return total;
}

/** Step 3, from the sums as they were sent, whether or not they match the quants. */
function sumMins(inputs: Uint8Array, at: number): number {
  let total = 0;
  for (let group = 0; group < 16; group++) {
    const sum = ((inputs[at + 2 * group] | (inputs[at + 2 * group + 1] << 8)) << 16) >> 16;
    total = (total + sum * block.mins[group]) | 0;
  }
  return total;
}

function readFloat(bytes: Uint8Array, at: number): number {
  floatBytes[0] = bytes[at];
  floatBytes[1] = bytes[at + 1];
  floatBytes[2] = bytes[at + 2];
  floatBytes[3] = bytes[at + 3];
  return float[0];
}
