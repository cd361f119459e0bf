import { readHalf } from './half-bytes.js';
import { NONLINEAR } from './small-blocks.js';
import type { SuperBlockReader } from './super-block.js';

/** Nibbles that stand for unevenly spaced quants; scales of 32 values have six bits, 32 is subtracted. */
export const IQ4_XS: SuperBlockReader = {
  hasMins: false,
  unpack(bytes, at, into) {
    into.d = readHalf(bytes, at);
    into.dmin = 0;
    into.mins.fill(0);
    const high = bytes[at + 2] | (bytes[at + 3] << 8);
    for (let group = 0; group < 8; group++) {
      const low = (bytes[at + 4 + (group >> 1)] >> (4 * (group & 1))) & 15;
      into.scales.fill((low | (((high >> (2 * group)) & 3) << 4)) - 32, 2 * group, 2 * group + 2);
      for (let j = 0; j < 16; j++) {
        const pair = bytes[at + 8 + 16 * group + j];
        into.quants[32 * group + j] = NONLINEAR[pair & 15];
        into.quants[32 * group + 16 + j] = NONLINEAR[pair >> 4];
      }
    }
  },
};

/** -1, 0 and 1 in two bits each. */
export const TQ2_0: SuperBlockReader = {
  hasMins: false,
  unpack(bytes, at, into) {
    into.d = readHalf(bytes, at + 64);
    into.dmin = 0;
    into.mins.fill(0);
    into.scales.fill(1);
    for (let i = 0; i < 256; i++)
      into.quants[i] = ((bytes[at + (i >> 7) * 32 + (i & 31)] >> (2 * ((i >> 5) & 3))) & 3) - 1;
  },
};

/**
 * -1, 0 and 1, five of them in a byte: digits of a number below 3^5, which is written as a fraction of 256. Of the 48 bytes 32 and
 * then 16 hold values that many apart, four more bytes four values each.
 */
export const TQ1_0: SuperBlockReader = {
  hasMins: false,
  unpack(bytes, at, into) {
    into.d = readHalf(bytes, at + 52);
    into.dmin = 0;
    into.mins.fill(0);
    into.scales.fill(1);
    let to = 0;
    for (const [first, count, digits] of [
      [0, 32, 5],
      [32, 16, 5],
      [48, 4, 4],
    ])
      for (let digit = 0, power = 1; digit < digits; digit++, power *= 3)
        for (let i = 0; i < count; i++) {
          const fraction = (bytes[at + first + i] * power) & 255;
          into.quants[to++] = ((fraction * 3) >> 8) - 1;
        }
  },
};
