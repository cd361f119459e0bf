import type { SuperBlock } from './super-block.js';

/**
 * The 12 bytes of eight 6-bit scales and eight 6-bit mins that Q4_K and Q5_K share (get_scale_min_k4 of ggml).
 * Scales and mins 0..3 are the low six bits of bytes 0..3 and 4..7; of 4..7 the low nibbles are in bytes 8..11
 * (scale low, min high) and the upper two bits in the tops of bytes 0..7.
 */
export function unpackScales(bytes: Uint8Array, at: number, into: SuperBlock): void {
  for (let i = 0; i < 4; i++) {
    const first = bytes[at + i];
    const second = bytes[at + 4 + i];
    const third = bytes[at + 8 + i];
    setTwice(into, i, first & 63, second & 63);
    setTwice(into, i + 4, (third & 15) | ((first >> 6) << 4), (third >> 4) | ((second >> 6) << 4));
  }
}

export function packScales(block: SuperBlock, bytes: Uint8Array, at: number): void {
  for (let i = 0; i < 4; i++) {
    const scale = block.scales[2 * (i + 4)];
    const min = block.mins[2 * (i + 4)];
    bytes[at + i] = block.scales[2 * i] | ((scale >> 4) << 6);
    bytes[at + 4 + i] = block.mins[2 * i] | ((min >> 4) << 6);
    bytes[at + 8 + i] = (scale & 15) | ((min & 15) << 4);
  }
}

function setTwice(into: SuperBlock, group: number, scale: number, min: number): void {
  into.scales[2 * group] = scale;
  into.scales[2 * group + 1] = scale;
  into.mins[2 * group] = min;
  into.mins[2 * group + 1] = min;
}
