import { readHalf, writeHalf } from './half-bytes.js';
import type { SuperBlock, SuperBlockCodec } from './super-block.js';

const QH = 128;
const SCALES = 192;
const D = 208;

/**
 * Q6_K: 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 int8 scales, d (block_q6_K of ggml); a quant is
 * its six bits minus 32. In each half of 128 values a nibble byte holds two values that are 64 apart and a
 * bit-pair byte four that are 32 apart.
 */
export const Q6_K: SuperBlockCodec = {
  hasMins: false,
  groupSize: 16,
  quantRange: [-32, 31],
  scaleRange: [-128, 127],

  unpack(bytes: Uint8Array, at: number, into: SuperBlock): void {
    into.d = readHalf(bytes, at + D);
    into.dmin = 0;
    into.mins.fill(0);
    for (let group = 0; group < 16; group++) into.scales[group] = bytes[at + SCALES + group];
    for (let i = 0; i < 256; i++) {
      const low = (bytes[at + (i >> 7) * 64 + (i & 63)] >> (((i >> 6) & 1) * 4)) & 15;
      const high = (bytes[at + QH + (i >> 7) * 32 + (i & 31)] >> (((i >> 5) & 3) * 2)) & 3;
      into.quants[i] = (low | (high << 4)) - 32;
    }
  },

  pack(block: SuperBlock, bytes: Uint8Array, at: number): void {
    bytes.fill(0, at, at + D);
    writeHalf(block.d, bytes, at + D);
    for (let group = 0; group < 16; group++) bytes[at + SCALES + group] = block.scales[group];
    for (let i = 0; i < 256; i++) {
      const quant = block.quants[i] + 32;
      bytes[at + (i >> 7) * 64 + (i & 63)] |= (quant & 15) << (((i >> 6) & 1) * 4);
      bytes[at + QH + (i >> 7) * 32 + (i & 31)] |= (quant >> 4) << (((i >> 5) & 3) * 2);
    }
  },
};
