import { PynqLlmError } from '../errors/index.js';
import { SMALL_BLOCK_READERS, SUPER_BLOCK_READERS } from './blocks/codecs.js';
import { readHalf } from './blocks/half-bytes.js';
import { newSmallBlock, type SmallBlockReader } from './blocks/small-blocks.js';
import { newSuperBlock, type SuperBlockReader } from './blocks/super-block.js';
import { bfloatToFloat } from './half.js';
import { BLOCK_FORMATS, GgmlType, rowBytes, SUPER_BLOCK } from './types.js';

const block = newSuperBlock();
const small = newSmallBlock();

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
  const ofSmall = SMALL_BLOCK_READERS[type];
  if (ofSmall !== undefined) {
    smallBlocks(ofSmall, BLOCK_FORMATS[type].blockBytes, bytes, columns, out);
    return;
  }
  const large = SUPER_BLOCK_READERS[type];
  if (large !== undefined) {
    superBlocks(large, BLOCK_FORMATS[type].blockBytes, bytes, columns, out);
    return;
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
};

function floats(bytes: Uint8Array, columns: number, out: Float32Array): void {
  new Uint8Array(out.buffer, out.byteOffset, 4 * columns).set(bytes.subarray(0, 4 * columns));
}

function halves(bytes: Uint8Array, columns: number, out: Float32Array): void {
  for (let i = 0; i < columns; i++) out[i] = readHalf(bytes, 2 * i);
}

function bfloats(bytes: Uint8Array, columns: number, out: Float32Array): void {
  for (let i = 0; i < columns; i++) out[i] = bfloatToFloat(bytes[2 * i] | (bytes[2 * i + 1] << 8));
}

function smallBlocks(
  read: SmallBlockReader,
  stride: number,
  bytes: Uint8Array,
  columns: number,
  out: Float32Array,
): void {
  for (let start = 0, at = 0; start < columns; start += 32, at += stride) {
    read(bytes, at, small);
    const { d, m, quants } = small;
    // Storing rounds to float32. Where nothing is added, -0 stays -0.
    for (let i = 0; i < 32; i++) {
      const product = Math.fround(d * quants[i]);
      out[start + i] = m === 0 ? product : product + m;
    }
  }
}

function superBlocks(
  reader: SuperBlockReader,
  stride: number,
  bytes: Uint8Array,
  columns: number,
  out: Float32Array,
): void {
  for (let start = 0, at = 0; start < columns; start += SUPER_BLOCK, at += stride) {
    reader.unpack(bytes, at, block);
    for (let group = 0; group < 16; group++) {
      const scale = Math.fround(block.d * block.scales[group]);
      const min = Math.fround(block.dmin * block.mins[group]);
      const from = group * 16;
      for (let i = from; i < from + 16; i++) {
        const product = Math.fround(scale * block.quants[i]);
        // Storing rounds to float32. Without mins nothing is subtracted: -0 must stay -0.
        out[start + i] = reader.hasMins ? product - min : product;
      }
    }
  }
}
