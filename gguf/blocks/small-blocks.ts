import { readHalf } from './half-bytes.js';

/** The fields of a block of 32 weights, unpacked: weight i = d * quants[i] + m. */
export interface SmallBlock {
  /** float32 values. */
  d: number;
  m: number;
  readonly quants: Int8Array;
}

export function newSmallBlock(): SmallBlock {
  return { d: 0, m: 0, quants: new Int8Array(32) };
}

/** Reads the block that starts at byte `at`. */
export type SmallBlockReader = (bytes: Uint8Array, at: number, into: SmallBlock) => void;

/** What the nibbles of IQ4 types stand for. */
export const NONLINEAR = Int8Array.of(
  -127,
  -104,
  -83,
  -65,
  -49,
  -35,
  -22,
  -10,
  1,
  13,
  25,
  38,
  53,
  69,
  89,
  113,
);
/** What those of MXFP4 stand for: twice a sign, two bits of exponent and one of mantissa. */
const FLOAT4 = Int8Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);

/** Value j is in the low and value j + 16 in the high nibble of byte j. */
function nibbles(bytes: Uint8Array, at: number, quants: Int8Array): void {
  for (let j = 0; j < 16; j++) {
    quants[j] = bytes[at + j] & 15;
    quants[j + 16] = bytes[at + j] >> 4;
  }
}

/** And a fifth bit for each, in four bytes before. */
function fiveBits(bytes: Uint8Array, at: number, quants: Int8Array): void {
  nibbles(bytes, at + 4, quants);
  for (let i = 0; i < 32; i++) quants[i] |= ((bytes[at + (i >> 3)] >> (i & 7)) & 1) << 4;
}

function shift(quants: Int8Array, by: number): void {
  for (let i = 0; i < 32; i++) quants[i] -= by;
}

function replace(quants: Int8Array, values: Int8Array): void {
  for (let i = 0; i < 32; i++) quants[i] = values[quants[i]];
}

export const readQ4_0: SmallBlockReader = (bytes, at, into) => {
  into.d = readHalf(bytes, at);
  into.m = 0;
  nibbles(bytes, at + 2, into.quants);
  shift(into.quants, 8);
};

export const readQ4_1: SmallBlockReader = (bytes, at, into) => {
  into.d = readHalf(bytes, at);
  into.m = readHalf(bytes, at + 2);
  nibbles(bytes, at + 4, into.quants);
};

export const readQ5_0: SmallBlockReader = (bytes, at, into) => {
  into.d = readHalf(bytes, at);
  into.m = 0;
  fiveBits(bytes, at + 2, into.quants);
  shift(into.quants, 16);
};

export const readQ5_1: SmallBlockReader = (bytes, at, into) => {
  into.d = readHalf(bytes, at);
  into.m = readHalf(bytes, at + 2);
  fiveBits(bytes, at + 4, into.quants);
};

export const readQ8_0: SmallBlockReader = (bytes, at, into) => {
  into.d = readHalf(bytes, at);
  into.m = 0;
  for (let i = 0; i < 32; i++) into.quants[i] = bytes[at + 2 + i];
};

export const readIQ4_NL: SmallBlockReader = (bytes, at, into) => {
  into.d = readHalf(bytes, at);
  into.m = 0;
  nibbles(bytes, at + 2, into.quants);
  replace(into.quants, NONLINEAR);
};

/** The scale is a power of two alone, halved because the quants are doubled. */
export const readMXFP4: SmallBlockReader = (bytes, at, into) => {
  into.d = 2 ** (bytes[at] - 128);
  into.m = 0;
  nibbles(bytes, at + 1, into.quants);
  replace(into.quants, FLOAT4);
};
