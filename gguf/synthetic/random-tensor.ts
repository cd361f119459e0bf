import { SUPER_BLOCK_CODECS } from '../blocks/codecs.js';
import { writeHalf } from '../blocks/half-bytes.js';
import { quantizeRow } from '../quantize.js';
import { CORE_BLOCK_BYTES, type CoreType, coreTypeOf, GgmlType, rowBytes } from '../types.js';
import type { TensorToWrite } from '../write.js';

/** Bytes produced at a time. */
const CHUNK = 2 ** 20;

/** Where d, and dmin if any, lie in a super-block. */
const SCALE_OFFSETS: Readonly<Record<CoreType, { readonly d: number; readonly dmin?: number }>> = {
  2: { d: 80, dmin: 82 },
  3: { d: 108 },
  4: { d: 0, dmin: 2 },
  5: { d: 0, dmin: 2 },
  6: { d: 208 },
};

/** A matrix of seeded random weights of mean about 0 and the given standard deviation. */
export function randomTensor(
  name: string,
  type: GgmlType,
  shape: readonly number[],
  seed: number,
  deviation: number,
): TensorToWrite {
  const rows = shape.slice(1).reduce((product, length) => product * length, 1);
  const coreType = coreTypeOf(type);
  const produce: TensorToWrite['produce'] =
    coreType === undefined
      ? (emit) => emitValues(type, shape[0], rows, seed, 0, deviation, emit)
      : (emit) => emitBlocks(coreType, rows * rowBytes(type, shape[0]), seed, deviation, emit);
  return { name, type, shape, produce };
}

/** A vector of norm weights, near 1. */
export function normTensor(name: string, length: number, seed: number): TensorToWrite {
  const produce: TensorToWrite['produce'] = (emit) =>
    emitValues(GgmlType.F32, length, 1, seed, 1, 0.05, emit);
  return { name, type: GgmlType.F32, shape: [length], produce };
}

/** Uniform values through the quantiser: any type, but slow; for small tensors. */
function emitValues(
  type: GgmlType,
  columns: number,
  rows: number,
  seed: number,
  mean: number,
  deviation: number,
  emit: (bytes: Uint8Array) => void,
): void {
  const words = new Uint32Array(columns);
  const values = new Float32Array(columns);
  const bytes = new Uint8Array(rowBytes(type, columns));
  let state = seed;
  for (let row = 0; row < rows; row++) {
    state = fillRandom(words, state);
    // A uniform value between -1 and 1 has the standard deviation 1 / sqrt(3).
    for (let i = 0; i < columns; i++) values[i] = mean + (words[i] / 2 ** 31 - 1) * deviation * Math.sqrt(3);
    quantizeRow(type, values, bytes);
    emit(bytes);
  }
}

/** Random bits as super-blocks, with d and dmin set for the deviation: as fast as random numbers come. */
function emitBlocks(
  coreType: CoreType,
  byteLength: number,
  seed: number,
  deviation: number,
  emit: (bytes: Uint8Array) => void,
): void {
  const blockBytes = CORE_BLOCK_BYTES[coreType];
  const chunkBlocks = Math.floor(CHUNK / blockBytes);
  const words = new Uint32Array(CHUNK / 4);
  const bytes = new Uint8Array(words.buffer);
  const offsets = SCALE_OFFSETS[coreType];
  const { d, dmin } = scalesFor(coreType, deviation);
  let state = seed;
  for (let left = byteLength / blockBytes; left > 0; left -= chunkBlocks) {
    const blocks = Math.min(left, chunkBlocks);
    state = fillRandom(words, state);
    for (let at = 0; at < blocks * blockBytes; at += blockBytes) {
      writeHalf(d, bytes, at + offsets.d);
      if (offsets.dmin !== undefined) writeHalf(dmin, bytes, at + offsets.dmin);
    }
    emit(bytes.subarray(0, blocks * blockBytes));
  }
}

/** d and dmin that give random fields a mean near 0 and the wanted standard deviation. */
function scalesFor(coreType: CoreType, deviation: number): { d: number; dmin: number } {
  const { hasMins, quantRange, scaleRange } = SUPER_BLOCK_CODECS[coreType];
  const quant = moments(quantRange);
  const scale = moments(scaleRange);
  // weight = d * (scale * quant - quantMean * min): scales and mins have the same mean.
  const product = scale.square * quant.square - (scale.mean * quant.mean) ** 2;
  const min = hasMins ? quant.mean ** 2 * (scale.square - scale.mean ** 2) : 0;
  const d = deviation / Math.sqrt(product + min);
  return { d, dmin: d * quant.mean };
}

/** Mean and mean square of the integers of a range. */
function moments([lowest, highest]: readonly [number, number]): { mean: number; square: number } {
  const count = highest - lowest + 1;
  let [sum, squares] = [0, 0];
  for (let value = lowest; value <= highest; value++) {
    sum += value;
    squares += value * value;
  }
  return { mean: sum / count, square: squares / count };
}

/** Marsaglia's xorshift32; returns the state to go on from. A state of zero would stay zero. */
function fillRandom(words: Uint32Array, seed: number): number {
  let state = seed | 0 || 0x9e3779b9;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return state;
}
