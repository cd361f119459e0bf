import { halfToFloat } from '../../../gguf/assembly/half';

/** Types of 32 weights a block, by GGML's numbers. */
const Q4_0 = 2;
const Q4_1 = 3;
const Q5_0 = 6;
const Q5_1 = 7;
const Q8_0 = 8;
const IQ4_NL = 20;
const MXFP4 = 39;

/** What nibbles of IQ4_NL and MXFP4 stand for. */
const NONLINEAR = memory.data<i8>([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], 16);
const FLOAT4 = memory.data<i8>([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], 16);

/** Picks a byte's bit for each of eight bytes. */
export const BITS = memory.data<u8>([1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128], 16);

/** Of the block that was read last: weight i = smallScale * quants[i] + smallOffset. */
export let smallScale: f32 = 0;
export let smallOffset: f32 = 0;

/**
 * Reads a block of 32 weights.
 *
 * @param type of Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL and MXFP4
 * @param row the block as in the file
 * @param quants receives 32 int8
 * @returns where the next block begins
 */
// @ts-ignore: decorator
@inline
export function readSmallBlock(type: i32, row: usize, quants: usize): usize {
  smallOffset = 0;
  if (type == MXFP4) {
    smallScale = powerOfTwo(load<u8>(row));
    unpackNibbles(row + 1, FLOAT4, quants);
    return row + 17;
  }
  smallScale = halfToFloat(<u32>load<u16>(row));
  row += 2;
  if (type == Q8_0) {
    v128.store(quants, v128.load(row));
    v128.store(quants, v128.load(row, 16), 16);
    return row + 32;
  }
  if (type == IQ4_NL) {
    unpackNibbles(row, NONLINEAR, quants);
    return row + 16;
  }
  if (type == Q4_1 || type == Q5_1) {
    smallOffset = halfToFloat(<u32>load<u16>(row));
    row += 2;
  }
  const isFive = type == Q5_0 || type == Q5_1;
  unpack(isFive ? row + 4 : row, isFive ? row : 0, type == Q4_0 ? 8 : type == Q5_0 ? 16 : 0, quants);
  return row + (isFive ? 20 : 16);
}

/** 16 bytes of nibbles, and four bytes of fifth bits unless that is 0, less `shift`. */
function unpack(nibbles: usize, fifths: usize, shift: i8, quants: usize): void {
  const pairs = v128.load(nibbles);
  let low = v128.and(pairs, i8x16.splat(15));
  let high = i8x16.shr_u(pairs, 4);
  if (fifths != 0) {
    low = v128.or(low, fifthBits(load<u8>(fifths), load<u8>(fifths, 1)));
    high = v128.or(high, fifthBits(load<u8>(fifths, 2), load<u8>(fifths, 3)));
  }
  v128.store(quants, i8x16.sub(low, i8x16.splat(shift)));
  v128.store(quants, i8x16.sub(high, i8x16.splat(shift)), 16);
}

/** 16 where a bit is set: eight bits of each byte. */
function fifthBits(first: u8, second: u8): v128 {
  const bits = v128.load(BITS);
  const bytes = v128.shuffle<i8>(i8x16.splat(first), i8x16.splat(second), 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
  return v128.and(i8x16.eq(v128.and(bytes, bits), bits), i8x16.splat(16));
}

/** 16 bytes of nibbles that stand for the quants of IQ4 types, to 32 int8. */
export function readNonlinear(nibbles: usize, quants: usize): void {
  unpackNibbles(nibbles, NONLINEAR, quants);
}

/** 16 bytes of nibbles that stand for the values of a table. */
function unpackNibbles(nibbles: usize, table: usize, quants: usize): void {
  const pairs = v128.load(nibbles);
  const values = v128.load(table);
  v128.store(quants, i8x16.swizzle(values, v128.and(pairs, i8x16.splat(15))));
  v128.store(quants, i8x16.swizzle(values, i8x16.shr_u(pairs, 4)), 16);
}

/** 2^(exponent - 128): subnormal below 2. */
function powerOfTwo(exponent: u32): f32 {
  return reinterpret<f32>(exponent < 2 ? 0x200000 << exponent : (exponent - 1) << 23);
}
