import { PynqLlmError } from '../errors/index.js';
import { SUPER_BLOCK_CODECS } from './blocks/codecs.js';
import { writeHalf } from './blocks/half-bytes.js';
import { quantizeSuperBlock } from './blocks/quantize-super-block.js';
import { newSuperBlock } from './blocks/super-block.js';
import { floatToBfloat } from './half.js';
import { BLOCK_FORMATS, CORE_BLOCK_BYTES, type CoreType, GgmlType, rowBytes, SUPER_BLOCK } from './types.js';

const block = newSuperBlock();

/**
 * Stores float32 values as a type of a file. F32, F16 and BF16 round to nearest even; the others choose their
 * scales by least squares, and are for making models and test data: the bits are not llama.cpp's, which quantize/ writes. It builds on
 * this folder, so that synthetic models cannot be made by it, and their bits are recorded (instructions, digests of logits).
 *
 * @param values finite numbers for block types, as many as whole blocks hold
 * @param out receives `rowBytes(type, values.length)` bytes
 * @throws PynqLlmError GGUF_ROW_NOT_WHOLE_BLOCKS, GGUF_BAD_RANGE (short `out`; values that the type cannot hold),
 *   GGUF_UNSUPPORTED_CONVERSION (types that are only read; Q8_K: use quantizeQ8K)
 */
export function quantizeRow(type: GgmlType, values: Float32Array, out: Uint8Array): void {
  const { name, blockSize } = BLOCK_FORMATS[type];
  const needed = rowBytes(type, values.length);
  const convert = CONVERTERS[type];
  if (convert === undefined) {
    throw new PynqLlmError('GGUF_UNSUPPORTED_CONVERSION', `${name} blocks are read and not written.`, {
      context: { type: name },
    });
  }
  if (out.length < needed) {
    throw new PynqLlmError(
      'GGUF_BAD_RANGE',
      `${values.length} values as ${name} need ${needed} bytes, but ${out.length} were given.`,
      {
        context: { type: name, needed, bytes: out.length },
      },
    );
  }
  if (blockSize > 1) checkMagnitudes(values, name);
  convert(values, out);
}

/**
 * Every block type's scales fit a half up to this magnitude: at least 8 steps to the largest value in Q4_0,
 * 3 steps and 15 scales in Q2_K.
 */
const LARGEST = 65504;

function checkMagnitudes(values: Float32Array, name: string): void {
  const index = values.findIndex((value) => !(Math.abs(value) <= LARGEST));
  if (index < 0) return;
  throw new PynqLlmError('GGUF_BAD_RANGE', `Value ${index} is ${values[index]}, which ${name} cannot hold.`, {
    context: { type: name, index, value: String(values[index]) },
  });
}

type Converter = (values: Float32Array, out: Uint8Array) => void;

const CONVERTERS: Readonly<Partial<Record<GgmlType, Converter>>> = {
  [GgmlType.F32]: floats,
  [GgmlType.F16]: halves,
  [GgmlType.BF16]: bfloats,
  [GgmlType.Q8_0]: q8_0,
  [GgmlType.Q4_0]: q4_0,
  [GgmlType.Q2_K]: (values, out) => superBlocks(2, values, out),
  [GgmlType.Q3_K]: (values, out) => superBlocks(3, values, out),
  [GgmlType.Q4_K]: (values, out) => superBlocks(4, values, out),
  [GgmlType.Q5_K]: (values, out) => superBlocks(5, values, out),
  [GgmlType.Q6_K]: (values, out) => superBlocks(6, values, out),
};

function floats(values: Float32Array, out: Uint8Array): void {
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  for (let i = 0; i < values.length; i++) view.setFloat32(4 * i, values[i], true);
}

function halves(values: Float32Array, out: Uint8Array): void {
  for (let i = 0; i < values.length; i++) writeHalf(values[i], out, 2 * i);
}

function bfloats(values: Float32Array, out: Uint8Array): void {
  for (let i = 0; i < values.length; i++) {
    const bits = floatToBfloat(values[i]);
    out[2 * i] = bits;
    out[2 * i + 1] = bits >> 8;
  }
}

function q8_0(values: Float32Array, out: Uint8Array): void {
  for (let i = 0, at = 0; i < values.length; i += 32, at += 34) {
    const d = extremeOf(values, i, 32) / 127;
    writeHalf(d, out, at);
    for (let j = 0; j < 32; j++) out[at + 2 + j] = d === 0 ? 0 : Math.round(values[i + j] / d);
  }
}

/** The value of largest magnitude takes the longer, negative end of -8..7. */
function q4_0(values: Float32Array, out: Uint8Array): void {
  for (let i = 0, at = 0; i < values.length; i += 32, at += 18) {
    const d = extremeOf(values, i, 32) / -8;
    writeHalf(d, out, at);
    const nibble = (value: number): number => (d === 0 ? 8 : Math.min(15, Math.round(value / d) + 8));
    for (let j = 0; j < 16; j++) out[at + 2 + j] = nibble(values[i + j]) | (nibble(values[i + j + 16]) << 4);
  }
}

function extremeOf(values: Float32Array, from: number, count: number): number {
  let extreme = 0;
  for (let i = from; i < from + count; i++) {
    if (Math.abs(values[i]) > Math.abs(extreme)) extreme = values[i];
  }
  return extreme;
}

function superBlocks(coreType: CoreType, values: Float32Array, out: Uint8Array): void {
  const codec = SUPER_BLOCK_CODECS[coreType];
  for (let from = 0, at = 0; from < values.length; from += SUPER_BLOCK, at += CORE_BLOCK_BYTES[coreType]) {
    quantizeSuperBlock(codec, values, from, block);
    codec.pack(block, out, at);
  }
}
