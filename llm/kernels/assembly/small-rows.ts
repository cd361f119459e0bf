import { halfToFloat } from '../../../gguf/assembly/half';
import { Q8_SMALL_BYTES } from './q8small';

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
const BITS = memory.data<u8>([1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128], 16);

/** The block at hand: 32 int8. */
const QUANTS = memory.data(32, 16);

/**
 * A row of blocks of 32 times `n` columns of q8small.ts: sums of products are exact, then float32 is rounded at each step and
 * added block after block: results[n] = sum of quants . quants * (d * d), and of m * s.
 *
 * @param type of Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL and MXFP4
 * @param row `blocks` blocks as in the file
 * @param columns `n` columns of as many blocks
 * @param results `n` float32
 */
export function multiplySmallRow(type: i32, row: usize, blocks: i32, columns: usize, n: i32, results: usize): void {
  const columnBytes = <usize>blocks * Q8_SMALL_BYTES;
  memory.fill(results, 0, <usize>n << 2);
  for (; blocks > 0; blocks--) {
    let d: f32 = 0;
    let m: f32 = 0;
    if (type == MXFP4) {
      d = powerOfTwo(load<u8>(row));
      unpackNibbles(row + 1, FLOAT4);
      row += 17;
    } else {
      d = halfToFloat(<u32>load<u16>(row));
      row += 2;
      if (type == Q8_0) {
        v128.store(QUANTS, v128.load(row));
        v128.store(QUANTS, v128.load(row, 16), 16);
        row += 32;
      } else if (type == IQ4_NL) {
        unpackNibbles(row, NONLINEAR);
        row += 16;
      } else {
        if (type == Q4_1 || type == Q5_1) {
          m = halfToFloat(<u32>load<u16>(row));
          row += 2;
        }
        const isFive = type == Q5_0 || type == Q5_1;
        unpack(isFive ? row + 4 : row, isFive ? row : 0, type == Q4_0 ? 8 : type == Q5_0 ? 16 : 0);
        row += isFive ? 20 : 16;
      }
    }
    const low = v128.load(QUANTS);
    const high = v128.load(QUANTS, 16);
    let column = columns;
    for (let to = results, end = results + (<usize>n << 2); to < end; to += 4) {
      const sum = dot16(low, v128.load(column, 8)) + dot16(high, v128.load(column, 24));
      let result = load<f32>(to) + <f32>sum * (d * load<f32>(column));
      if (m != 0) result += m * load<f32>(column, 4);
      store<f32>(to, result);
      column += columnBytes;
    }
    columns += Q8_SMALL_BYTES;
  }
}

/** The exact sum of 16 products of int8. */
// @ts-ignore: decorator
@inline
function dot16(a: v128, b: v128): i32 {
  const sums = i32x4.add(
    i32x4.extadd_pairwise_i16x8_s(i16x8.extmul_low_i8x16_s(a, b)),
    i32x4.extadd_pairwise_i16x8_s(i16x8.extmul_high_i8x16_s(a, b)),
  );
  return i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1) + (i32x4.extract_lane(sums, 2) + i32x4.extract_lane(sums, 3));
}

/** 16 bytes of nibbles, and four bytes of fifth bits unless that is 0, less `shift`. */
function unpack(nibbles: usize, fifths: usize, shift: i8): void {
  const pairs = v128.load(nibbles);
  let low = v128.and(pairs, i8x16.splat(15));
  let high = i8x16.shr_u(pairs, 4);
  if (fifths != 0) {
    low = v128.or(low, fifthBits(load<u8>(fifths), load<u8>(fifths, 1)));
    high = v128.or(high, fifthBits(load<u8>(fifths, 2), load<u8>(fifths, 3)));
  }
  v128.store(QUANTS, i8x16.sub(low, i8x16.splat(shift)));
  v128.store(QUANTS, i8x16.sub(high, i8x16.splat(shift)), 16);
}

/** 16 where a bit is set: eight bits of each byte. */
function fifthBits(first: u8, second: u8): v128 {
  const bits = v128.load(BITS);
  const bytes = v128.shuffle<i8>(i8x16.splat(first), i8x16.splat(second), 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
  return v128.and(i8x16.eq(v128.and(bytes, bits), bits), i8x16.splat(16));
}

/** 16 bytes of nibbles that stand for the values of a table. */
function unpackNibbles(nibbles: usize, table: usize): void {
  const pairs = v128.load(nibbles);
  const values = v128.load(table);
  v128.store(QUANTS, i8x16.swizzle(values, v128.and(pairs, i8x16.splat(15))));
  v128.store(QUANTS, i8x16.swizzle(values, i8x16.shr_u(pairs, 4)), 16);
}

/** 2^(exponent - 128): subnormal below 2. */
function powerOfTwo(exponent: u32): f32 {
  return reinterpret<f32>(exponent < 2 ? 0x200000 << exponent : (exponent - 1) << 23);
}
