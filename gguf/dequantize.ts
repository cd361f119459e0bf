import { PynqLlmError } from '../errors/index.js';
import { SUPER_BLOCK_CODECS } from './blocks/codecs.js';
import { readHalf } from './blocks/half-bytes.js';
import { newSuperBlock } from './blocks/super-block.js';
import { bfloatToFloat } from './half.js';
import { BLOCK_FORMATS, CORE_BLOCK_BYTES, type CoreType, GgmlType, rowBytes, SUPER_BLOCK } from './types.js';

const block = newSuperBlock();

/**
 * Turns stored values into float32, bit-equal to llama.cpp's `dequantize_row_*` in portable C: every multiplication
 * and subtraction rounded to float32 by itself.
 *
 * @param bytes the row as in the file, at least `rowBytes(type, columns)`; no alignment needed
 * @param columns number of values, a multiple of the type's block size (several whole rows may go as one)
 * @param out receives `columns` values
 * @throws PynqLlmError GGUF_ROW_NOT_WHOLE_BLOCKS, GGUF_BAD_RANGE, GGUF_UNSUPPORTED_CONVERSION (Q8_K)
 */
export function dequantizeRow(type: GgmlType, bytes: Uint8Array, columns: number, out: Float32Array): void {
  const needed = rowBytes(type, columns);
  if (bytes.length < needed || out.length < columns) {
    throw new PynqLlmError(
      'GGUF_BAD_RANGE',
      `${columns} ${BLOCK_FORMATS[type].name} values need ${needed} bytes and ${columns} places, but ${bytes.length} bytes and ${out.length} places were given.`,
      {
        context: { columns, bytes: bytes.length, places: out.length },
      },
    );
  }
  const convert = CONVERTERS[type];
  if (convert === undefined) {
    throw new PynqLlmError(
      'GGUF_UNSUPPORTED_CONVERSION',
      `${BLOCK_FORMATS[type].name} blocks are not stored in files.`,
      { context: { type } },
    );
  }
  convert(bytes, columns, out);
}

type Converter = (bytes: Uint8Array, columns: number, out: Float32Array) => void;

const CONVERTERS: Readonly<Partial<Record<GgmlType, Converter>>> = {
  [GgmlType.F32]: floats,
  [GgmlType.F16]: halves,
  [GgmlType.BF16]: bfloats,
  [GgmlType.Q8_0]: q8_0,
  [GgmlType.Q4_0]: q4_0,
  [GgmlType.Q2_K]: (bytes, columns, out) => superBlocks(2, bytes, columns, out),
  [GgmlType.Q3_K]: (bytes, columns, out) => superBlocks(3, bytes, columns, out),
  [GgmlType.Q4_K]: (bytes, columns, out) => superBlocks(4, bytes, columns, out),
  [GgmlType.Q5_K]: (bytes, columns, out) => superBlocks(5, bytes, columns, out),
  [GgmlType.Q6_K]: (bytes, columns, out) => superBlocks(6, bytes, columns, out),
};

function floats(bytes: Uint8Array, columns: number, out: Float32Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i < columns; i++) out[i] = view.getFloat32(4 * i, true);
}

function halves(bytes: Uint8Array, columns: number, out: Float32Array): void {
  for (let i = 0; i < columns; i++) out[i] = readHalf(bytes, 2 * i);
}

function bfloats(bytes: Uint8Array, columns: number, out: Float32Array): void {
  for (let i = 0; i < columns; i++) out[i] = bfloatToFloat(bytes[2 * i] | (bytes[2 * i + 1] << 8));
}

/** Blocks of 32: half d, 32 int8. */
function q8_0(bytes: Uint8Array, columns: number, out: Float32Array): void {
  for (let i = 0, at = 0; i < columns; i += 32, at += 34) {
    const d = readHalf(bytes, at);
    for (let j = 0; j < 32; j++) out[i + j] = ((bytes[at + 2 + j] << 24) >> 24) * d;
  }
}

/** Blocks of 32: half d, 16 bytes with value j in the low and value j + 16 in the high nibble; 8 is subtracted. */
function q4_0(bytes: Uint8Array, columns: number, out: Float32Array): void {
  for (let i = 0, at = 0; i < columns; i += 32, at += 18) {
    const d = readHalf(bytes, at);
    for (let j = 0; j < 16; j++) {
      out[i + j] = ((bytes[at + 2 + j] & 15) - 8) * d;
      out[i + j + 16] = ((bytes[at + 2 + j] >> 4) - 8) * d;
    }
  }
}

function superBlocks(coreType: CoreType, bytes: Uint8Array, columns: number, out: Float32Array): void {
  const codec = SUPER_BLOCK_CODECS[coreType];
  const stride = CORE_BLOCK_BYTES[coreType];
  for (let start = 0, at = 0; start < columns; start += SUPER_BLOCK, at += stride) {
    codec.unpack(bytes, at, block);
    for (let group = 0; group < 16; group++) {
      const scale = Math.fround(block.d * block.scales[group]);
      const min = Math.fround(block.dmin * block.mins[group]);
      const from = group * 16;
      for (let i = from; i < from + 16; i++) {
        const product = Math.fround(scale * block.quants[i]);
        // Storing rounds to float32. Without mins nothing is subtracted: -0 must stay -0.
        out[start + i] = codec.hasMins ? product - min : product;
      }
    }
  }
}
