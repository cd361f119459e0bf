import { readHalf, writeHalf } from './half-bytes.js';
import { packScales, unpackScales } from './scales-q4k.js';
import type { SuperBlock, SuperBlockCodec } from './super-block.js';

const DMIN = 2;
const SCALES = 4;
const QH = 16;
const QS = 48;

/**
 * Q5_K: d, dmin, 12 bytes of scales and mins, 32 bytes of fifth bits, 128 bytes of nibbles as in Q4_K
 * (block_q5_K of ggml). Bit b of fifth-bit byte l belongs to value 32 b + l.
 */
export const Q5_K: SuperBlockCodec = {
  hasMins: true,
  groupSize: 32,
  quantRange: [0, 31],
  scaleRange: [0, 63],

  unpack(bytes: Uint8Array, at: number, into: SuperBlock): void {
    into.d = readHalf(bytes, at);
    into.dmin = readHalf(bytes, at + DMIN);
    unpackScales(bytes, at + SCALES, into);
    for (let i = 0; i < 256; i++) {
      const nibble = (bytes[at + QS + (i >> 6) * 32 + (i & 31)] >> (((i >> 5) & 1) * 4)) & 15;
      into.quants[i] = nibble | (((bytes[at + QH + (i & 31)] >> (i >> 5)) & 1) << 4);
    }
  },

  pack(block: SuperBlock, bytes: Uint8Array, at: number): void {
    writeHalf(block.d, bytes, at);
    writeHalf(block.dmin, bytes, at + DMIN);
    packScales(block, bytes, at + SCALES);
    bytes.fill(0, at + QH, at + QS + 128);
    for (let i = 0; i < 256; i++) {
      const quant = block.quants[i];
      bytes[at + QS + (i >> 6) * 32 + (i & 31)] |= (quant & 15) << (((i >> 5) & 1) * 4);
      bytes[at + QH + (i & 31)] |= (quant >> 4) << (i >> 5);
    }
  },
};
