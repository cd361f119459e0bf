import { readHalf, writeHalf } from './half-bytes.js';
import { packScales, unpackScales } from './scales-q4k.js';
import type { SuperBlock, SuperBlockCodec } from './super-block.js';

const DMIN = 2;
const SCALES = 4;
const QS = 16;

/**
 * Q4_K: d, dmin, 12 bytes of scales and mins, 128 bytes of quants (block_q4_K of ggml).
 * A byte of quants holds two values that are 32 apart.
 */
export const Q4_K: SuperBlockCodec = {
  hasMins: true,
  groupSize: 32,
  quantRange: [0, 15],
  scaleRange: [0, 63],

  unpack(bytes: Uint8Array, at: number, into: SuperBlock): void {
    into.d = readHalf(bytes, at);
    into.dmin = readHalf(bytes, at + DMIN);
    unpackScales(bytes, at + SCALES, into);
    for (let i = 0; i < 256; i++) {
      const byte = bytes[at + QS + (i >> 6) * 32 + (i & 31)];
      into.quants[i] = (byte >> (((i >> 5) & 1) * 4)) & 15;
    }
  },

  pack(block: SuperBlock, bytes: Uint8Array, at: number): void {
    writeHalf(block.d, bytes, at);
    writeHalf(block.dmin, bytes, at + DMIN);
    packScales(block, bytes, at + SCALES);
    bytes.fill(0, at + QS, at + QS + 128);
    for (let i = 0; i < 256; i++) {
      bytes[at + QS + (i >> 6) * 32 + (i & 31)] |= block.quants[i] << (((i >> 5) & 1) * 4);
    }
  },
};
