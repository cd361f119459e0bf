import { NEGATED_SUMS, SENT_SUMS } from './layout';
import { Q2_K, Q3_K, Q4_K, Q5_K, blockMinima, blockScales, groupScales } from './unpack';

/** Scratch of a block: the scales of its 16 groups as int16, and what the sums of the input's groups are multiplied by. */
export const FACTORS: usize = 32;
export const SCALES_BYTES: usize = 64;

/** Whether blocks have minima; otherwise their weights have a constant offset. */
@inline
export function hasMinima(type: i32): bool {
  return type == Q2_K || type == Q4_K || type == Q5_K;
}

/** A block's scales, and the factors of the input's sums: the minima, or the scales times the offset of the weights. */
@inline
export function storeScales(type: i32, w: usize, to: usize): void {
  if (type == Q4_K || type == Q5_K) {
    storeTwice(blockScales(w), to);
    storeTwice(blockMinima(w), to + FACTORS);
    return;
  }
  const bytes = groupScales(type, w);
  const first = i16x8.extend_low_i8x16_s(bytes);
  const last = i16x8.extend_high_i8x16_s(bytes);
  v128.store(to, first);
  v128.store(to, last, 16);
  if (type == Q2_K) {
    const minima = i8x16.shr_u(v128.load(w), 4);
    v128.store(to, i16x8.extend_low_i8x16_u(minima), FACTORS);
    v128.store(to, i16x8.extend_high_i8x16_u(minima), FACTORS + 16);
  } else {
    const shift = type == Q3_K ? 2 : 5;
    v128.store(to, i16x8.shl(first, shift), FACTORS);
    v128.store(to, i16x8.shl(last, shift), FACTORS + 16);
  }
}

/** Eight int16, each twice. */
@inline
function storeTwice(values: v128, to: usize): void {
  v128.store(to, i16x8.shuffle(values, values, 0, 8, 1, 9, 2, 10, 3, 11));
  v128.store(to, i16x8.shuffle(values, values, 4, 12, 5, 13, 6, 14, 7, 15), 16);
}

/** The sums of the groups of the input block at `x` times their factors: of minima the sums as sent, otherwise the negated ones. */
@inline
export function groupProducts(minima: bool, scales: usize, x: usize): v128 {
  const sums = x + (minima ? SENT_SUMS : NEGATED_SUMS);
  const first = i32x4.dot_i16x8_s(v128.load(sums), v128.load(scales, FACTORS));
  return i32x4.add(first, i32x4.dot_i16x8_s(v128.load(sums, 16), v128.load(scales, FACTORS + 16)));
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
