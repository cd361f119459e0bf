import { readHalf, writeHalf } from './half-bytes.js';
import type { SuperBlock, SuperBlockCodec } from './super-block.js';

const QS = 32;
const SCALES = 96;
const D = 108;

/**
 * Q3_K: 32 bytes of high bits, 64 bytes of bit pairs as in Q2_K, 12 bytes of 6-bit scales, d (block_q3_K of ggml).
 * A quant is its bit pair, minus 4 where the high bit is clear. Scale i has its low four bits in a nibble of the
 * first eight bytes and its high two in one of the last four; 32 is subtracted.
 */
export const Q3_K: SuperBlockCodec = {
  hasMins: false,
  groupSize: 16,
  quantRange: [-4, 3],
  scaleRange: [-32, 31],

  unpack(bytes: Uint8Array, at: number, into: SuperBlock): void {
    into.d = readHalf(bytes, at + D);
    into.dmin = 0;
    into.mins.fill(0);
    for (let group = 0; group < 16; group++) {
      const low = (bytes[at + SCALES + (group & 7)] >> ((group >> 3) * 4)) & 15;
      const high = (bytes[at + SCALES + 8 + (group & 3)] >> ((group >> 2) * 2)) & 3;
      into.scales[group] = (low | (high << 4)) - 32;
    }
    for (let i = 0; i < 256; i++) {
      const pair = (bytes[at + QS + (i >> 7) * 32 + (i & 31)] >> (((i >> 5) & 3) * 2)) & 3;
      const high = (bytes[at + (i & 31)] >> (i >> 5)) & 1;
      into.quants[i] = pair + high * 4 - 4;
    }
  },

  pack(block: SuperBlock, bytes: Uint8Array, at: number): void {
    bytes.fill(0, at, at + D);
    writeHalf(block.d, bytes, at + D);
    for (let group = 0; group < 16; group++) {
      const scale = block.scales[group] + 32;
      bytes[at + SCALES + (group & 7)] |= (scale & 15) << ((group >> 3) * 4);
      bytes[at + SCALES + 8 + (group & 3)] |= (scale >> 4) << ((group >> 2) * 2);
    }
    for (let i = 0; i < 256; i++) {
      const quant = block.quants[i] + 4;
      bytes[at + QS + (i >> 7) * 32 + (i & 31)] |= (quant & 3) << (((i >> 5) & 3) * 2);
      bytes[at + (i & 31)] |= (quant >> 2) << (i >> 5);
    }
  },
};
