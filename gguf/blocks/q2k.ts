import { readHalf, writeHalf } from './half-bytes.js';
import type { SuperBlock, SuperBlockCodec } from './super-block.js';

const QS = 16;
const D = 80;
const DMIN = 82;

/**
 * Q2_K: 16 bytes of 4-bit scale (low) and 4-bit min, 64 bytes of quants, d, dmin (block_q2_K of ggml).
 * A byte of quants holds one bit pair of four values that are 32 apart.
 */
export const Q2_K: SuperBlockCodec = {
  hasMins: true,
  groupSize: 16,
  quantRange: [0, 3],
  scaleRange: [0, 15],

  unpack(bytes: Uint8Array, at: number, into: SuperBlock): void {
    into.d = readHalf(bytes, at + D);
    into.dmin = readHalf(bytes, at + DMIN);
    for (let group = 0; group < 16; group++) {
      into.scales[group] = bytes[at + group] & 15;
      into.mins[group] = bytes[at + group] >> 4;
    }
    for (let i = 0; i < 256; i++) {
      const byte = bytes[at + QS + (i >> 7) * 32 + (i & 31)];
      into.quants[i] = (byte >> (((i >> 5) & 3) * 2)) & 3;
    }
  },

  pack(block: SuperBlock, bytes: Uint8Array, at: number): void {
    writeHalf(block.d, bytes, at + D);
    writeHalf(block.dmin, bytes, at + DMIN);
    for (let group = 0; group < 16; group++) {
      bytes[at + group] = block.scales[group] | (block.mins[group] << 4);
    }
    bytes.fill(0, at + QS, at + D);
    for (let i = 0; i < 256; i++) {
      bytes[at + QS + (i >> 7) * 32 + (i & 31)] |= block.quants[i] << (((i >> 5) & 3) * 2);
    }
  },
};
