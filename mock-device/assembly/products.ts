import { OFFSET_SUMS, SENT_SUMS } from './layout';
import { Q2_K, Q4_K, Q5_K, Q6_K, blockMinima, blockScales, groupScales } from './unpack';

/** Scratch of a block: two scales as int16 of each plane; and, for several columns, what the sums of groups are multiplied by. */
const FACTORS: usize = 32;
export const SCALES_BYTES: usize = 64;

/** Whether blocks have minima; otherwise their weights have a constant offset. */
@inline
export function hasMinima(type: i32): bool {
  return type == Q2_K || type == Q4_K || type == Q5_K;
}

/** Stores a block's scales. @returns what the sums of the groups of the input block at `x` make with their factors */
@inline
export function storeScales(type: i32, w: usize, to: usize, x: usize): v128 {
  return scalesAndFactors(type, w, to, false, x);
}

/** Stores a block's scales and the factors. */
@inline
export function storeScalesAndFactors(type: i32, w: usize, to: usize): void {
  scalesAndFactors(type, w, to, true, 0);
}

/** The same, with factors that were stored. */
@inline
export function groupProducts(minima: bool, scales: usize, x: usize): v128 {
  return dotOfSums(minima, v128.load(scales, FACTORS), v128.load(scales, FACTORS + 16), x);
}

/** Factors of the sums of groups: the minima; without minima the scales, where Q3_K's offset of 4 is in the sums, and Q6_K's 32 is 8 times that. */
@inline
function scalesAndFactors(type: i32, w: usize, to: usize, keeps: bool, x: usize): v128 {
  let first: v128;
  let last: v128;
  if (type == Q4_K || type == Q5_K) {
    const scales = blockScales(w);
    v128.store(to, firstTwice(scales));
    v128.store(to, lastTwice(scales), 16);
    const minima = blockMinima(w);
    first = firstTwice(minima);
    last = lastTwice(minima);
  } else {
    const scales = groupScales(type, w);
    first = i16x8.extend_low_i8x16_s(scales);
    last = i16x8.extend_high_i8x16_s(scales);
    v128.store(to, first);
    v128.store(to, last, 16);
    if (type == Q2_K) {
      const minima = i8x16.shr_u(v128.load(w), 4);
      first = i16x8.extend_low_i8x16_u(minima);
      last = i16x8.extend_high_i8x16_u(minima);
    } else if (type == Q6_K) {
      first = i16x8.shl(first, 3);
      last = i16x8.shl(last, 3);
    }
  }
  if (!keeps) return dotOfSums(hasMinima(type), first, last, x);
  v128.store(to, first, FACTORS);
  v128.store(to, last, FACTORS + 16);
  return first;
}

/** Of minima the sums as they were sent, otherwise those that are prepared for offsets. */
@inline
function dotOfSums(minima: bool, first: v128, last: v128, x: usize): v128 {
  const sums = x + (minima ? SENT_SUMS : OFFSET_SUMS);
  return i32x4.add(i32x4.dot_i16x8_s(v128.load(sums), first), i32x4.dot_i16x8_s(v128.load(sums, 16), last));
}

/** The first four of eight int16, each twice. */
@inline
function firstTwice(values: v128): v128 {
  return i16x8.shuffle(values, values, 0, 8, 1, 9, 2, 10, 3, 11);
}

/** The last four. */
@inline
function lastTwice(values: v128): v128 {
  return i16x8.shuffle(values, values, 4, 12, 5, 13, 6, 14, 7, 15);
}

/**
 * The 32 products of a plane, each group's sum times its scale. Two pairs of the widest weights, 2 * 63 * 128 * 2 = 32256, fit int16.
 * @param w0 first pairs of weights, `w1` the last ones; `q0` and `q1` of quants
 * @param scale the groups' scales in turn
 */
@inline
export function planeProducts(w0: v128, w1: v128, q0: v128, q1: v128, scale: v128): v128 {
  const first = i16x8.relaxed_dot_i8x16_i7x16_s(q0, w0);
  const last = i16x8.relaxed_dot_i8x16_i7x16_s(q1, w1);
  return i32x4.dot_i16x8_s(i16x8.add(first, last), scale);
}

/** The sum of the lanes of each of four vectors. */
@inline
export function totals(a: v128, b: v128, c: v128, d: v128): v128 {
  const first = i32x4.add(i32x4.shuffle(a, b, 0, 4, 1, 5), i32x4.shuffle(a, b, 2, 6, 3, 7));
  const second = i32x4.add(i32x4.shuffle(c, d, 0, 4, 1, 5), i32x4.shuffle(c, d, 2, 6, 3, 7));
  return i32x4.add(i64x2.shuffle(first, second, 0, 2), i64x2.shuffle(first, second, 1, 3));
}

/** The float32 steps of the manual, in its order, for four blocks: dall, acc, minima; each rounded on its own. */
@inline
export function blockResults(minimaToo: bool, products: v128, minima: v128, d: v128, dmin: v128, xd: v128): v128 {
  const result = f32x4.mul(f32x4.convert_i32x4_s(products), f32x4.mul(d, xd));
  if (!minimaToo) return result;
  return f32x4.sub(result, f32x4.mul(f32x4.convert_i32x4_s(minima), f32x4.mul(dmin, xd)));
}
