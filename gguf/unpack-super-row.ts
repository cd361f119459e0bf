import { PynqLlmError } from '../errors/index.js';
import { SUPER_BLOCK_READERS } from './blocks/codecs.js';
import { newSuperBlock } from './blocks/super-block.js';
import { BLOCK_FORMATS, type GgmlType } from './types.js';

const block = newSuperBlock();
const BLOCK_BYTES = 4 + 16 + 256;

/**
 * Unpacks a row of super-blocks for a kernel: of each d as float32, 16 int8 scales and 256 int8 quants; weight i is d * scales[i / 16] *
 * quants[i]. Types with mins have no such form.
 *
 * @param row `blocks` blocks as in the file
 * @param out receives 276 bytes a block
 * @throws PynqLlmError GGUF_UNSUPPORTED_CONVERSION
 */
export function unpackSuperRow(type: GgmlType, row: Uint8Array, blocks: number, out: Uint8Array): void {
  const { name, blockBytes } = BLOCK_FORMATS[type];
  const reader = SUPER_BLOCK_READERS[type];
  if (reader === undefined || reader.hasMins)
    throw new PynqLlmError(
      'GGUF_UNSUPPORTED_CONVERSION',
      `${name} blocks are not quants of 16 with a scale alone.`,
      { context: { type: name } },
    );
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  for (let i = 0, to = 0; i < blocks; i++, to += BLOCK_BYTES) {
    reader.unpack(row, i * blockBytes, block);
    view.setFloat32(to, block.d, true);
    out.set(new Uint8Array(block.scales.buffer), to + 4);
    out.set(new Uint8Array(block.quants.buffer), to + 20);
  }
}
