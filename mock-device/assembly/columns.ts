import { PREPARED_BYTES, QUANTS, SCALE } from './layout';
import {
  blockResults, groupProducts, hasMinima, isPerPlane, planeProducts, scaleOffset, storeGroupScales, storeInPairs, totals,
} from './products';
import {
  Q2_K, Q3_K, blockBytes, blockMinima, blockScales, bothHalves, firstInPairs, groupScales, halves, highBits, highNibble, lastInPairs,
  lowNibble, nibbles, pairsOfQ3K, weights,
} from './unpack';

/** Columns that share one unpacking of a block: more would push their inputs out of the first-level cache. */
export const COLUMNS: i32 = 8;
/** Scratch: running sums of the columns (float32), then their int32 sums of products, and of minima, of the block at hand. */
const PRODUCTS: usize = 32;
const MINIMA: usize = 160;
/** The block's scales. */
const SCALES: usize = 288;

/** `multiply` for up to `COLUMNS` columns: each block is unpacked once for all of them. Scratch: 352 bytes. */
@inline
export function someColumns(
  type: i32, lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, width: i32,
): void {
  const stride = <usize>kb * PREPARED_BYTES;
  const laneMask = (1 << laneShift) - 1;
  let number = 0;
  for (let row = 0; row < rows; ++row) {
    v128.store(scratch, i64x2.splat(0));
    v128.store(scratch, i64x2.splat(0), 16);
    let x = inputs;
    for (let k = 0; k < kb; ++k) {
      const lane = <usize>load<u32>(lanes + (<usize>(number & laneMask) << 2));
      block(type, lane + <usize>(number >> laneShift) * blockBytes(type), x, stride, scratch, width);
      x += PREPARED_BYTES;
      ++number;
    }
    for (let column = 0; column < width; ++column) {
      store<f32>(outputs + (<usize>(column * rows + row) << 2), load<f32>(scratch + (<usize>column << 2)));
    }
  }
}

/** One weight block against one input block of each column; adds the results to the running float32 sums. */
@inline
function block(type: i32, w: usize, x: usize, stride: usize, scratch: usize, width: i32): void {
  if (isPerPlane(type)) {
    storeInPairs(blockScales(w), scratch + SCALES);
    const minima = blockMinima(w);
    startSums(type, firstInPairs(minima), lastInPairs(minima), x, stride, scratch, width);
  } else {
    const scales = groupScales(type, w);
    const first = i16x8.extend_low_i8x16_s(scales);
    const last = i16x8.extend_high_i8x16_s(scales);
    storeGroupScales(first, last, scratch + SCALES);
    const minima = i8x16.shr_u(v128.load(w), 4);
    if (type != Q2_K) startSums(type, first, last, x, stride, scratch, width);
    else startSums(type, i16x8.extend_low_i8x16_u(minima), i16x8.extend_high_i8x16_u(minima), x, stride, scratch, width);
  }
  if (type == Q3_K) {
    halfBlockOfQ3K(0, w, x, stride, scratch, width);
    halfBlockOfQ3K(4, w, x, stride, scratch, width);
  } else {
    const high0 = highBits(type, w, 0);
    const high1 = highBits(type, w, 16);
    twoPlanes(type, 0, w, high0, high1, x, stride, scratch, width);
    twoPlanes(type, 2, w, high0, high1, x, stride, scratch, width);
    twoPlanes(type, 4, w, high0, high1, x, stride, scratch, width);
    twoPlanes(type, 6, w, high0, high1, x, stride, scratch, width);
  }
  const both = i32x4.splat(bothHalves(type, w));
  const d = halves(v128.and(both, i32x4.splat(0xffff)));
  const dmin = hasMinima(type) ? halves(i32x4.shr_u(both, 16)) : d;
  finish(type, 0, x, stride, scratch, width, d, dmin);
  if (width > 4) finish(type, 4, x + 4 * stride, stride, scratch, width - 4, d, dmin);
}

/**
 * The sums begin with what the weights' constant offset takes away, or with nothing; then the minima are known.
 * @param first what the sums of the first eight groups are multiplied by; `last` those of the others
 */
@inline
function startSums(type: i32, first: v128, last: v128, x: usize, stride: usize, scratch: usize, width: i32): void {
  let at = scratch + PRODUCTS;
  const end = at + (<usize>width << 4);
  do {
    const groups = groupProducts(type, first, last, x);
    if (hasMinima(type)) v128.store(at, groups, MINIMA - PRODUCTS);
    v128.store(at, hasMinima(type) ? i64x2.splat(0) : i32x4.neg(groups));
    x += stride;
    at += 16;
  } while (at < end);
}

/** Planes `from` to `from` + 3 of Q3_K. */
@inline
function halfBlockOfQ3K(from: i32, w: usize, x: usize, stride: usize, scratch: usize, width: i32): void {
  const low0 = v128.load(w + (<usize>from << 3), 32);
  const low1 = v128.load(w + (<usize>from << 3), 48);
  const high0 = nibbles(v128.load(w), from);
  const high1 = nibbles(v128.load(w, 16), from);
  const a0 = pairsOfQ3K(0, low0, high0);
  const a1 = pairsOfQ3K(0, low1, high1);
  const b0 = pairsOfQ3K(1, low0, high0);
  const b1 = pairsOfQ3K(1, low1, high1);
  addPlanes(
    Q3_K, from, lowNibble(a0), lowNibble(a1), lowNibble(b0), lowNibble(b1), 0, x, stride, scratch, width,
  );
  // Weights in high nibbles are 16 times too large until their products are summed.
  addPlanes(
    Q3_K, from + 2, highNibble(a0), highNibble(a1), highNibble(b0), highNibble(b1), 4, x, stride, scratch, width,
  );
}

/** Planes `index` and `index` + 1 of another type. */
@inline
function twoPlanes(
  type: i32, index: i32, w: usize, high0: v128, high1: v128, x: usize, stride: usize, scratch: usize, width: i32,
): void {
  const next = index + 1;
  const w0 = weights(type, index, w, 0, high0);
  const w1 = weights(type, index, w, 16, high1);
  const w2 = weights(type, next, w, 0, high0);
  const w3 = weights(type, next, w, 16, high1);
  addPlanes(type, index, w0, w1, w2, w3, 0, x, stride, scratch, width);
}

/** Adds the products of two planes, which are 2^shift times too large, to the columns' sums. */
@inline
function addPlanes(
  type: i32, index: i32, w0: v128, w1: v128, w2: v128, w3: v128, shift: i32, x: usize, stride: usize, scratch: usize, width: i32,
): void {
  const scales = scratch + SCALES + scaleOffset(type, index);
  const next = scratch + SCALES + scaleOffset(type, index + 1);
  const scale0 = v128.load32_splat(scales);
  const scale1 = isPerPlane(type) ? scale0 : v128.load32_splat(scales, 4);
  const scale2 = v128.load32_splat(next);
  const scale3 = isPerPlane(type) ? scale2 : v128.load32_splat(next, 4);
  let q = x + QUANTS + <usize>index * 32;
  let at = scratch + PRODUCTS;
  const end = at + (<usize>width << 4);
  do {
    const first = planeProducts(type, w0, w1, scale0, scale1, q);
    const both = i32x4.add(first, planeProducts(type, w2, w3, scale2, scale3, q + 32));
    v128.store(at, i32x4.add(v128.load(at), shift ? i32x4.shr_s(both, shift) : both));
    q += stride;
    at += 16;
  } while (at < end);
}

/** The results of up to four columns are added to their sums; a column that is not there has the first one's scale, and is never read. */
@inline
function finish(type: i32, column: i32, x: usize, stride: usize, scratch: usize, width: i32, d: v128, dmin: v128): void {
  let xd = v128.load32_splat(x, SCALE);
  if (width > 1) xd = v128.load_lane<u32>(x + stride, xd, 1, SCALE);
  if (width > 2) xd = v128.load_lane<u32>(x + 2 * stride, xd, 2, SCALE);
  if (width > 3) xd = v128.load_lane<u32>(x + 3 * stride, xd, 3, SCALE);
  const products = totals(scratch + PRODUCTS + (<usize>column << 4));
  const minima = hasMinima(type) ? totals(scratch + MINIMA + (<usize>column << 4)) : d;
  const sums = scratch + (<usize>column << 2);
  v128.store(sums, f32x4.add(v128.load(sums), blockResults(type, products, minima, d, dmin, xd)));
}
