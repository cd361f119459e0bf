import { evenSigns, gridNamed } from './grids.js';
import { readHalf } from './half-bytes.js';
import type { SuperBlock, SuperBlockReader } from './super-block.js';

/*
 * IQ1 to IQ3: a group of values is a point of a grid with signs of its own. Scales are odd numbers, 2s + 1, of which d has the
 * power of two, so that a scale, a quant and d multiply to the bits of llama.cpp's float32 products.
 */

/** Writes a point of `count` values to `quants` from `to` on; bit j of `signs` makes value j negative. */
function put(
  grid: Int8Array,
  index: number,
  count: number,
  signs: number,
  quants: Int8Array,
  to: number,
): void {
  for (let j = 0; j < count; j++) {
    const value = grid[index * count + j];
    quants[to + j] = (signs >> j) & 1 ? -value : value;
  }
}

const halfWord = (bytes: Uint8Array, at: number): number => bytes[at] | (bytes[at + 1] << 8);

function begin(into: SuperBlock, d: number): void {
  into.d = d;
  into.dmin = 0;
  into.mins.fill(0);
}

/** Of 32 values: four indices of a byte, and a word with four times seven signs and a scale of four bits. */
export const IQ2_XXS: SuperBlockReader = {
  hasMins: false,
  unpack(bytes, at, into) {
    const grid = gridNamed('IQ2_XXS');
    begin(into, readHalf(bytes, at) / 8);
    for (let group = 0; group < 8; group++) {
      const from = at + 2 + 8 * group;
      const word = halfWord(bytes, from + 4) + halfWord(bytes, from + 6) * 0x10000;
      into.scales.fill(2 * Math.floor(word / 2 ** 28) + 1, 2 * group, 2 * group + 2);
      for (let l = 0; l < 4; l++) {
        const signs = evenSigns(Math.floor(word / 2 ** (7 * l)) & 127);
        put(grid, bytes[from + l], 8, signs, into.quants, 32 * group + 8 * l);
      }
    }
  },
};

/** Words of nine bits of index and seven of signs; scales of 16 values in nibbles. */
export const IQ2_XS: SuperBlockReader = {
  hasMins: false,
  unpack(bytes, at, into) {
    const grid = gridNamed('IQ2_XS');
    begin(into, readHalf(bytes, at) / 8);
    nibbleScales(bytes, at + 66, into);
    for (let i = 0; i < 32; i++) {
      const word = halfWord(bytes, at + 2 + 2 * i);
      put(grid, word & 511, 8, evenSigns(word >> 9), into.quants, 8 * i);
    }
  },
};

/** Indices of eight bits and two more, eight signs, scales of 16 values in nibbles. */
export const IQ2_S: SuperBlockReader = {
  hasMins: false,
  unpack(bytes, at, into) {
    const grid = gridNamed('IQ2_S');
    begin(into, readHalf(bytes, at) / 8);
    nibbleScales(bytes, at + 74, into);
    for (let i = 0; i < 32; i++) {
      const high = (bytes[at + 66 + (i >> 2)] >> (2 * (i & 3))) & 3;
      put(grid, bytes[at + 2 + i] | (high << 8), 8, bytes[at + 34 + i], into.quants, 8 * i);
    }
  },
};

/** Of 32 values eight indices of four values, and a word with four times seven signs and a scale of four bits. */
export const IQ3_XXS: SuperBlockReader = {
  hasMins: false,
  unpack(bytes, at, into) {
    const grid = gridNamed('IQ3_XXS');
    begin(into, readHalf(bytes, at) / 4);
    for (let group = 0; group < 8; group++) {
      const word = halfWord(bytes, at + 66 + 4 * group) + halfWord(bytes, at + 68 + 4 * group) * 0x10000;
      into.scales.fill(2 * Math.floor(word / 2 ** 28) + 1, 2 * group, 2 * group + 2);
      for (let l = 0; l < 8; l++) {
        const signs = evenSigns(Math.floor(word / 2 ** (7 * (l >> 1))) & 127);
        put(grid, bytes[at + 2 + 8 * group + l], 4, signs >> (4 * (l & 1)), into.quants, 32 * group + 4 * l);
      }
    }
  },
};

/** Indices of eight bits and one more, eight signs, scales of 32 values in nibbles. */
export const IQ3_S: SuperBlockReader = {
  hasMins: false,
  unpack(bytes, at, into) {
    const grid = gridNamed('IQ3_S');
    begin(into, readHalf(bytes, at));
    for (let group = 0; group < 8; group++) {
      const scale = (bytes[at + 106 + (group >> 1)] >> (4 * (group & 1))) & 15;
      into.scales.fill(2 * scale + 1, 2 * group, 2 * group + 2);
    }
    for (let i = 0; i < 64; i++) {
      const high = (bytes[at + 66 + (i >> 3)] >> (i & 7)) & 1;
      const signs = bytes[at + 74 + (i >> 1)] >> (4 * (i & 1));
      put(grid, bytes[at + 2 + i] | (high << 8), 4, signs, into.quants, 4 * i);
    }
  },
};

/** -1, 0 or 1, and an eighth more or less; of 32 values four indices of 11 bits and a scale of three. */
export const IQ1_S: SuperBlockReader = {
  hasMins: false,
  unpack(bytes, at, into) {
    const grid = gridNamed('IQ1');
    begin(into, readHalf(bytes, at) / 8);
    for (let group = 0; group < 8; group++) {
      const word = halfWord(bytes, at + 34 + 2 * group);
      into.scales.fill(2 * ((word >> 12) & 7) + 1, 2 * group, 2 * group + 2);
      const shift = word & 0x8000 ? -1 : 1;
      for (let l = 0; l < 4; l++) {
        const index = bytes[at + 2 + 4 * group + l] | (((word >> (3 * l)) & 7) << 8);
        putShifted(grid, index, shift, into.quants, 32 * group + 8 * l);
      }
    }
  },
};

/** The same with a scale for 16 values and a shift for eight; d lies in four nibbles of the scales. */
export const IQ1_M: SuperBlockReader = {
  hasMins: false,
  unpack(bytes, at, into) {
    const grid = gridNamed('IQ1');
    for (let k = 0; k < 4; k++) {
      const nibble = bytes[at + 49 + 2 * k] >> 4;
      if (k & 1) dBytes[k >> 1] |= nibble << 4;
      else dBytes[k >> 1] = nibble;
    }
    begin(into, readHalf(dBytes, 0) / 8);
    for (let group = 0; group < 16; group++) {
      const scales = halfWord(bytes, at + 48 + 2 * (group >> 2));
      into.scales[group] = 2 * ((scales >> (3 * (group & 3))) & 7) + 1;
    }
    for (let i = 0; i < 32; i++) {
      const high = (bytes[at + 32 + (i >> 1)] >> (4 * (i & 1))) & 15;
      putShifted(grid, bytes[at + i] | ((high & 7) << 8), high & 8 ? -1 : 1, into.quants, 8 * i);
    }
  },
};

const dBytes = new Uint8Array(2);

function putShifted(grid: Int8Array, index: number, shift: number, quants: Int8Array, to: number): void {
  for (let j = 0; j < 8; j++) quants[to + j] = grid[index * 8 + j] + shift;
}

function nibbleScales(bytes: Uint8Array, at: number, into: SuperBlock): void {
  for (let group = 0; group < 16; group++)
    into.scales[group] = 2 * ((bytes[at + (group >> 1)] >> (4 * (group & 1))) & 15) + 1;
}
