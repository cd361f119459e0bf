import { PynqLlmError } from '../../errors/index.js';
import {
  CORE_BLOCK_BYTES,
  CORE_TYPES,
  type CoreType,
  ggmlTypeOf,
  Q8K_BYTES,
  SUPER_BLOCK,
} from '../../gguf/index.js';
import type { WeightTensor } from '../matmul-program.js';

const MAGIC = 0x56544c53;
const VERSION = 1;
const HEADER_WORDS = 16;
/** Larger vectors than this are taken for damage: the core's own memories are far smaller. */
const MAX_BYTES = 1 << 30;

/** One golden MatMul (README of the vectors has the format). */
export interface GoldenVector {
  readonly coreType: CoreType;
  /** M, N and K. */
  readonly rows: number;
  readonly inputs: number;
  readonly columns: number;
  /** GGUF blocks: M rows of K/256. */
  readonly weights: Uint8Array;
  /** Q8_K blocks: N rows of K/256. */
  readonly inputBlocks: Uint8Array;
  /** Rows of a full tile: the order in which results are emitted, and the cycles, depend on it. */
  readonly rowsPerTile: number;
  /** Bits of the results, out[n*M + m], */
  readonly expected: Uint32Array;
  /** and in the order in which the core emits them: tile by tile, in each column after column. */
  readonly expectedEmitted: Uint32Array;
}

/**
 * Reads a vector file and checks every field against its length.
 * @throws PynqLlmError DRIVER_BAD_VECTOR
 */
export function readVector(name: string, bytes: Uint8Array): GoldenVector {
  const bad = (what: string) =>
    new PynqLlmError('DRIVER_BAD_VECTOR', `${name} ${what}.`, { context: { file: name } });
  if (bytes.length < HEADER_WORDS * 4 || bytes.length > MAX_BYTES) throw bad(`has ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (i: number) => view.getUint32(4 * i, true);
  if (word(0) !== MAGIC || word(1) !== VERSION) throw bad('does not start like a vector of format version 1');
  const coreType = CORE_TYPES.find((type) => type === word(2));
  const [rows, inputs, columns] = [word(3), word(4), word(5)];
  const kb = columns / SUPER_BLOCK;
  if (coreType === undefined || rows === 0 || inputs === 0 || kb === 0 || !Number.isInteger(kb)) {
    throw bad(`has weight type ${word(2)}, M ${rows}, N ${inputs}, K ${columns}`);
  }
  const part = (what: string, offset: number, length: number) => {
    if (offset < HEADER_WORDS * 4 || offset + length > bytes.length) throw bad(`has no room for its ${what}`);
    return bytes.subarray(offset, offset + length);
  };
  const weightBytes = rows * kb * CORE_BLOCK_BYTES[coreType];
  const inputBytes = inputs * kb * Q8K_BYTES;
  if (word(6) !== weightBytes || word(7) !== inputBytes) throw bad('has lengths that do not fit its shape');
  const rowsPerTile = word(13);
  if (rowsPerTile === 0) throw bad('has tiles of no rows');
  // Not slice(): a Buffer's shares its memory with others.
  const resultsAt = (what: string, at: number) =>
    new Uint32Array(Uint8Array.from(part(what, word(at), rows * inputs * 4)).buffer);
  return {
    coreType,
    rows,
    inputs,
    columns,
    weights: part('weights', word(8), weightBytes),
    inputBlocks: part('inputs', word(9), inputBytes),
    rowsPerTile,
    expected: resultsAt('results', 10),
    expectedEmitted: resultsAt('results as they are emitted', 11),
  };
}

/** The weights of a vector as a tensor to load. */
export function vectorTensor(name: string, vector: GoldenVector): WeightTensor {
  const rowBytes = (vector.columns / SUPER_BLOCK) * CORE_BLOCK_BYTES[vector.coreType];
  return {
    name,
    type: ggmlTypeOf(vector.coreType),
    rows: vector.rows,
    columns: vector.columns,
    readRows(first, count, into) {
      into.set(vector.weights.subarray(first * rowBytes, (first + count) * rowBytes));
    },
  };
}

/** Results out[n*M + m] in the order in which the core emits them. */
export function inEmissionOrder(
  results: Uint32Array,
  { rows, inputs, rowsPerTile }: GoldenVector,
): Uint32Array {
  const emitted = new Uint32Array(results.length);
  let at = 0;
  for (let first = 0; first < rows; first += rowsPerTile) {
    const end = Math.min(first + rowsPerTile, rows);
    for (let n = 0; n < inputs; n++) for (let m = first; m < end; m++) emitted[at++] = results[n * rows + m];
  }
  return emitted;
}

/** How many float32 results differ, bit for bit, NaN as a class. */
export function bitMismatches(actual: Uint32Array, expected: Uint32Array): number {
  let count = Math.abs(actual.length - expected.length);
  for (let i = 0; i < Math.min(actual.length, expected.length); i++) {
    if (actual[i] !== expected[i] && !(isNaNBits(actual[i]) && isNaNBits(expected[i]))) count++;
  }
  return count;
}

function isNaNBits(bits: number): boolean {
  return (bits & 0x7fff_ffff) > 0x7f80_0000;
}
