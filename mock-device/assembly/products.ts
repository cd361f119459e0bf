import { GROUP_SUMS, SENT_SUMS } from './layout';
import { Q2_K, Q3_K, Q4_K, Q5_K, firstInPairs, lastInPairs } from './unpack';

/** Whether a scale is one for 32 weights; otherwise for 16. */
@inline
export function isPerPlane(type: i32): bool {
  return type == Q4_K || type == Q5_K;
}

/** Whether blocks have minima; otherwise their weights have a constant offset. */
@inline
export function hasMinima(type: i32): bool {
  return type == Q2_K || isPerPlane(type);
}

/** Where the scales of a plane of 32 weights lie among those that `storeScales` stored. */
@inline
export function scaleOffset(type: i32, plane: i32): usize {
  return <usize>plane << (isPerPlane(type) ? 2 : 3);
}

/** The scales of 16 groups, each twice as int16: `load32_splat` then fills a vector with one of them. */
@inline
export function storeGroupScales(first: v128, last: v128, to: usize): void {
  storeInPairs(first, to);
  storeInPairs(last, to + 32);
}

/** Eight int16, each twice. */
@inline
export function storeInPairs(scales: v128, to: usize): void {
  v128.store(to, firstInPairs(scales));
  v128.store(to, lastInPairs(scales), 16);
}

/** The sums of groups of the input block at `x` times their factors: of minima as sent, otherwise shifted to what the offset (4 or 32) makes. */
@inline
export function groupProducts(type: i32, first: v128, last: v128, x: usize): v128 {
  const sums = hasMinima(type) ? SENT_SUMS : GROUP_SUMS;
  const all = i32x4.add(i32x4.dot_i16x8_s(first, v128.load(x + sums)), i32x4.dot_i16x8_s(last, v128.load(x + sums, 16)));
  if (hasMinima(type)) return all;
  return i32x4.shl(all, type == Q3_K ? 2 : 5);
}

/** 32 products, each group's sum times its scale. Pairs of the widest weights, 7 * 16 * 128 * 2 = 28672, fit int16. */
@inline
export function planeProducts(type: i32, w0: v128, w1: v128, scale0: v128, scale1: v128, q: usize): v128 {
  const first = i16x8.relaxed_dot_i8x16_i7x16_s(v128.load(q), w0);
  const second = i16x8.relaxed_dot_i8x16_i7x16_s(v128.load(q, 16), w1);
  if (isPerPlane(type)) return i32x4.dot_i16x8_s(i16x8.add(first, second), scale0);
  return i32x4.add(i32x4.dot_i16x8_s(first, scale0), i32x4.dot_i16x8_s(second, scale1));
}

/** The sum of the lanes of each of the four vectors at `at`. */
@inline
export function totals(at: usize): v128 {
  const a = v128.load(at);
  const b = v128.load(at, 16);
  const c = v128.load(at, 32);
  const d = v128.load(at, 48);
  const first = i32x4.add(i32x4.shuffle(a, b, 0, 4, 1, 5), i32x4.shuffle(a, b, 2, 6, 3, 7));
  const second = i32x4.add(i32x4.shuffle(c, d, 0, 4, 1, 5), i32x4.shuffle(c, d, 2, 6, 3, 7));
  return i32x4.add(i64x2.shuffle(first, second, 0, 2), i64x2.shuffle(first, second, 1, 3));
}

/** The float32 steps of the manual, in its order, for four blocks: dall, acc, minima; each rounded on its own. */
@inline
export function blockResults(type: i32, products: v128, minima: v128, d: v128, dmin: v128, xd: v128): v128 {
  const result = f32x4.mul(f32x4.convert_i32x4_s(products), f32x4.mul(d, xd));
  if (!hasMinima(type)) return result;
  return f32x4.sub(result, f32x4.mul(f32x4.convert_i32x4_s(minima), f32x4.mul(dmin, xd)));
}
