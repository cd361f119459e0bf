import { PLANE_BYTES, QUANTS, firstPairs, lastPairs } from './layout';
import { planeProducts } from './products';
import { Q2_K, Q3_K, Q4_K, Q5_K, bits } from './unpack';

/** Unpacked: a block's weights in the order of the inputs, as unsigned bytes before the constant offset of Q3_K and Q6_K. */
export const WEIGHTS_BYTES: usize = 256;

/** A block's weights, unpacked, to `to`. */
@inline
export function storeWeights(type: i32, w: usize, to: usize): void {
  planes(type, false, w, 0, 0, to, i64x2.splat(0));
}

/**
 * Adds the products of a block's weights and the input block at `x`. On the way sums are stored at `to`: V8 would move the loads
 * of all planes to the front, where they fill the registers, if no store were between them.
 * @param scales two int16 a plane
 * @returns sum and products, which are also at `to`
 */
@inline
export function addProducts(type: i32, w: usize, x: usize, scales: usize, to: usize, sum: v128): v128 {
  return planes(type, true, w, x, scales, to, sum);
}

@inline
function planes(type: i32, multiplies: bool, w: usize, x: usize, scales: usize, to: usize, sum: v128): v128 {
  if (type == Q3_K) {
    const first = v128.load(w);
    const second = v128.load(w, 16);
    const high0 = firstPairs(first, second);
    const high1 = lastPairs(first, second);
    sum = halfOfQ3K(multiplies, 0, w + 32, bits(high0, 0, 0, 4), bits(high1, 0, 0, 4), x, scales, to, sum);
    return halfOfQ3K(multiplies, 4, w + 64, bits(high0, 4, 0, 4), bits(high1, 4, 0, 4), x, scales, to, sum);
  }
  if (type == Q2_K) {
    sum = halfOfQ2K(multiplies, 0, w + 16, x, scales, to, sum);
    return halfOfQ2K(multiplies, 4, w + 48, x, scales, to, sum);
  }
  if (type == Q4_K || type == Q5_K) {
    // Of Q5_K, a high bit of each plane's weights.
    const first = type == Q5_K ? v128.load(w, 16) : i64x2.splat(0);
    const second = type == Q5_K ? v128.load(w, 32) : i64x2.splat(0);
    const both0 = firstPairs(first, second);
    const both1 = lastPairs(first, second);
    const low = w + (type == Q4_K ? 16 : 48);
    let high0 = bits(both0, 0, 0, 4);
    let high1 = bits(both1, 0, 0, 4);
    sum = quarterOfQ4K(type, multiplies, 0, low, high0, high1, x, scales, to, sum);
    sum = quarterOfQ4K(type, multiplies, 2, low + 32, high0, high1, x, scales, to, sum);
    high0 = bits(both0, 4, 0, 4);
    high1 = bits(both1, 4, 0, 4);
    sum = quarterOfQ4K(type, multiplies, 4, low + 64, high0, high1, x, scales, to, sum);
    return quarterOfQ4K(type, multiplies, 6, low + 96, high0, high1, x, scales, to, sum);
  }
  sum = halfOfQ6K(multiplies, 0, w, w + 128, x, scales, to, sum);
  return halfOfQ6K(multiplies, 4, w + 64, w + 160, x, scales, to, sum);
}

@inline
function halfOfQ2K(multiplies: bool, index: i32, at: usize, x: usize, scales: usize, to: usize, sum: v128): v128 {
  const first = v128.load(at);
  const second = v128.load(at, 16);
  const a = firstPairs(first, second);
  const b = lastPairs(first, second);
  sum = plane(multiplies, index, bits(a, 0, 0, 2), bits(b, 0, 0, 2), x, scales, to, sum);
  sum = plane(multiplies, index + 1, bits(a, 2, 0, 2), bits(b, 2, 0, 2), x, scales, to, sum);
  sum = plane(multiplies, index + 2, bits(a, 4, 0, 2), bits(b, 4, 0, 2), x, scales, to, sum);
  return plane(multiplies, index + 3, bits(a, 6, 0, 2), bits(b, 6, 0, 2), x, scales, to, sum);
}

/** @param high0 high bits of the half's planes, as bytes below 16 */
@inline
function halfOfQ3K(
  multiplies: bool, index: i32, at: usize, high0: v128, high1: v128, x: usize, scales: usize, to: usize, sum: v128,
): v128 {
  const first = v128.load(at);
  const second = v128.load(at, 16);
  const a = firstPairs(first, second);
  const b = lastPairs(first, second);
  const even0 = twoPlanesOfQ3K(0, a, high0);
  const even1 = twoPlanesOfQ3K(0, b, high1);
  sum = plane(multiplies, index, bits(even0, 0, 0, 3), bits(even1, 0, 0, 3), x, scales, to, sum);
  sum = plane(multiplies, index + 2, bits(even0, 4, 0, 3), bits(even1, 4, 0, 3), x, scales, to, sum);
  const odd0 = twoPlanesOfQ3K(1, a, high0);
  const odd1 = twoPlanesOfQ3K(1, b, high1);
  sum = plane(multiplies, index + 1, bits(odd0, 0, 0, 3), bits(odd1, 0, 0, 3), x, scales, to, sum);
  return plane(multiplies, index + 3, bits(odd0, 4, 0, 3), bits(odd1, 4, 0, 3), x, scales, to, sum);
}

/**
 * Weights of two planes of Q3_K as the nibbles of 16 bytes: planes 0 and 2 of half a block, or 1 and 3 where `odd` is 1.
 * A table gives a plane's high bit its place, bit 2 of its nibble: fewer steps than a mask and a shift for each plane.
 * @param low low bits of the half block
 * @param high its high bits, one a plane, as bytes below 16
 */
@inline
function twoPlanesOfQ3K(odd: i32, low: v128, high: v128): v128 {
  const evenBits = i8x16(0, 4, 0, 4, 0x40, 0x44, 0x40, 0x44, 0, 4, 0, 4, 0x40, 0x44, 0x40, 0x44);
  const oddBits = i8x16(0, 0, 4, 4, 0, 0, 4, 4, 0x40, 0x40, 0x44, 0x44, 0x40, 0x40, 0x44, 0x44);
  const twos = v128.and(odd ? i16x8.shr_u(low, 2) : low, i8x16.splat(0x33));
  return v128.or(twos, i8x16.relaxed_swizzle(odd ? oddBits : evenBits, high));
}

/** Two planes of Q4_K or Q5_K. */
@inline
function quarterOfQ4K(
  type: i32, multiplies: bool, index: i32, at: usize, high0: v128, high1: v128, x: usize, scales: usize, to: usize, sum: v128,
): v128 {
  const first = v128.load(at);
  const second = v128.load(at, 16);
  const a = firstPairs(first, second);
  const b = lastPairs(first, second);
  const even0 = withFifthBit(type, bits(a, 0, 0, 4), index, high0);
  const even1 = withFifthBit(type, bits(b, 0, 0, 4), index, high1);
  sum = plane(multiplies, index, even0, even1, x, scales, to, sum);
  const odd0 = withFifthBit(type, bits(a, 4, 0, 4), index + 1, high0);
  const odd1 = withFifthBit(type, bits(b, 4, 0, 4), index + 1, high1);
  return plane(multiplies, index + 1, odd0, odd1, x, scales, to, sum);
}

/** @param high of the plane's half of a block the fifth bits, one a plane, as bytes below 16: a table gives the plane's its place */
@inline
function withFifthBit(type: i32, low: v128, index: i32, high: v128): v128 {
  if (type != Q5_K) return low;
  const first = i8x16(0, 16, 0, 16, 0, 16, 0, 16, 0, 16, 0, 16, 0, 16, 0, 16);
  const second = i8x16(0, 0, 16, 16, 0, 0, 16, 16, 0, 0, 16, 16, 0, 0, 16, 16);
  const third = i8x16(0, 0, 0, 0, 16, 16, 16, 16, 0, 0, 0, 0, 16, 16, 16, 16);
  const fourth = i8x16(0, 0, 0, 0, 0, 0, 0, 0, 16, 16, 16, 16, 16, 16, 16, 16);
  const plane = index & 3;
  const table = plane == 0 ? first : plane == 1 ? second : plane == 2 ? third : fourth;
  return v128.or(low, i8x16.relaxed_swizzle(table, high));
}

@inline
function halfOfQ6K(
  multiplies: bool, index: i32, low: usize, high: usize, x: usize, scales: usize, to: usize, sum: v128,
): v128 {
  const first = v128.load(high);
  const second = v128.load(high, 16);
  const high0 = firstPairs(first, second);
  const high1 = lastPairs(first, second);
  sum = twoPlanesOfQ6K(multiplies, index, 0, low, high0, high1, x, scales, to, sum);
  return twoPlanesOfQ6K(multiplies, index + 1, 2, low + 32, high0, high1, x, scales, to, sum);
}

/** Planes `index` and `index` + 2. @param from where the high bits of the first begin; those of the second are 4 bits on */
@inline
function twoPlanesOfQ6K(
  multiplies: bool, index: i32, from: i32, at: usize, high0: v128, high1: v128, x: usize, scales: usize, to: usize, sum: v128,
): v128 {
  const first = v128.load(at);
  const second = v128.load(at, 16);
  const a = firstPairs(first, second);
  const b = lastPairs(first, second);
  const low0 = v128.or(bits(a, 0, 0, 4), bits(high0, from, 4, 2));
  const low1 = v128.or(bits(b, 0, 0, 4), bits(high1, from, 4, 2));
  sum = plane(multiplies, index, low0, low1, x, scales, to, sum);
  const next0 = v128.or(bits(a, 4, 0, 4), bits(high0, from + 4, 4, 2));
  const next1 = v128.or(bits(b, 4, 0, 4), bits(high1, from + 4, 4, 2));
  return plane(multiplies, index + 2, next0, next1, x, scales, to, sum);
}

/** A plane's weights are there. */
@inline
function plane(
  multiplies: bool, index: i32, w0: v128, w1: v128, x: usize, scales: usize, to: usize, sum: v128,
): v128 {
  const at = <usize>index * PLANE_BYTES;
  if (!multiplies) {
    v128.store(to + at, w0);
    v128.store(to + at, w1, 16);
    return sum;
  }
  const quants = x + QUANTS + at;
  const scale = v128.load32_splat(scales + <usize>index * 4);
  const next = i32x4.add(sum, planeProducts(w0, w1, v128.load(quants), v128.load(quants, 16), scale));
  v128.store(to, next);
  return next;
}
