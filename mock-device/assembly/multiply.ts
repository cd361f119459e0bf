import { GROUP_SUMS, PREPARED_BYTES, QUANTS, SCALE, SENT_SUMS } from './layout';
import {
  Q2_K, Q3_K, Q4_K, Q5_K, Q6_K,
  blockBytes, blockMinima, blockScales, groupScales, half, highBits, nibbles, pairsOfQ3K, weights,
} from './unpack';

/** Columns that share one unpacking of a block: more would push their inputs out of the first-level cache. */
const COLUMNS: i32 = 8;
/** Scratch: running sums of the columns (float32), then their int32 sums of products of the block at hand. */
const PRODUCTS: usize = 32;
/** Then the block's scales, each twice as int16. */
const SCALES: usize = 160;

/**
 * One COMPUTE: outputs[n * rows + m] (float32) = sum over k of weight block m*kb + k times input block n*kb + k.
 *
 * @param type 2..6 for Q2_K..Q6_K
 * @param lanes address of the lanes' base addresses: block i is number i >> laneShift of lane i & ((1 << laneShift) - 1)
 * @param inputs prepared input blocks
 * @param scratch 224 bytes
 */
export function multiply(
  type: i32, lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, columns: i32,
): void {
  while (columns > 0) {
    const width = min(columns, COLUMNS);
    if (type == Q2_K) multiplyQ2K(lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
    else if (type == Q3_K) multiplyQ3K(lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
    else if (type == Q4_K) multiplyQ4K(lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
    else if (type == Q5_K) multiplyQ5K(lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
    else multiplyQ6K(lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
    columns -= width;
    inputs += <usize>(width * kb) * PREPARED_BYTES;
    outputs += <usize>(width * rows) << 2;
  }
}

function multiplyQ2K(
  lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, width: i32,
): void {
  if (width == 1) rowsOf(Q2_K, true, lanes, laneShift, inputs, outputs, scratch, kb, rows, 1);
  else rowsOf(Q2_K, false, lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
}

function multiplyQ3K(
  lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, width: i32,
): void {
  if (width == 1) rowsOf(Q3_K, true, lanes, laneShift, inputs, outputs, scratch, kb, rows, 1);
  else rowsOf(Q3_K, false, lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
}

function multiplyQ4K(
  lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, width: i32,
): void {
  if (width == 1) rowsOf(Q4_K, true, lanes, laneShift, inputs, outputs, scratch, kb, rows, 1);
  else rowsOf(Q4_K, false, lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
}

function multiplyQ5K(
  lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, width: i32,
): void {
  if (width == 1) rowsOf(Q5_K, true, lanes, laneShift, inputs, outputs, scratch, kb, rows, 1);
  else rowsOf(Q5_K, false, lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
}

function multiplyQ6K(
  lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, width: i32,
): void {
  if (width == 1) rowsOf(Q6_K, true, lanes, laneShift, inputs, outputs, scratch, kb, rows, 1);
  else rowsOf(Q6_K, false, lanes, laneShift, inputs, outputs, scratch, kb, rows, width);
}

/** All rows against `width` columns: each block is unpacked once for all of them. */
@inline
function rowsOf(
  type: i32, single: bool, lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32,
  width: i32,
): void {
  const inputStride = <usize>kb * PREPARED_BYTES;
  const laneMask = (1 << laneShift) - 1;
  let number = 0;
  for (let row = 0; row < rows; ++row) {
    v128.store(scratch, i64x2.splat(0));
    v128.store(scratch, i64x2.splat(0), 16);
    let input = inputs;
    for (let k = 0; k < kb; ++k) {
      const lane = <usize>load<u32>(lanes + (<usize>(number & laneMask) << 2));
      block(type, single, lane + <usize>(number >> laneShift) * blockBytes(type), input, inputStride, scratch, width);
      input += PREPARED_BYTES;
      ++number;
    }
    for (let column = 0; column < width; ++column) {
      store<f32>(outputs + (<usize>(column * rows + row) << 2), load<f32>(scratch + (<usize>column << 2)));
    }
  }
}

/** One weight block against one input block of each column; adds the results to the running float32 sums. */
@inline
function block(type: i32, single: bool, w: usize, x: usize, stride: usize, scratch: usize, width: i32): void {
  let scales0 = i64x2.splat(0);
  let scales1 = scales0;
  let minima0 = scales0;
  let minima1 = scales0;
  if (type == Q4_K || type == Q5_K) {
    const scales = blockScales(w);
    storeInPairs(scales, scratch + SCALES);
    const minima = blockMinima(w);
    minima0 = i16x8.shuffle(minima, minima, 0, 8, 1, 9, 2, 10, 3, 11);
    minima1 = i16x8.shuffle(minima, minima, 4, 12, 5, 13, 6, 14, 7, 15);
  } else {
    const scales = groupScales(type, w);
    scales0 = i16x8.extend_low_i8x16_s(scales);
    scales1 = i16x8.extend_high_i8x16_s(scales);
    storeInPairs(scales0, scratch + SCALES);
    storeInPairs(scales1, scratch + SCALES + 32);
    if (type == Q2_K) {
      const minima = i8x16.shr_u(v128.load(w), 4);
      minima0 = i16x8.extend_low_i8x16_u(minima);
      minima1 = i16x8.extend_high_i8x16_u(minima);
    }
  }

  const q = x + QUANTS;
  let sum = i64x2.splat(0);
  if (!single) clear(scratch + PRODUCTS, width);
  if (type == Q3_K) {
    sum = halfBlockOfQ3K(single, 0, w, q, stride, scratch, width, sum);
    sum = halfBlockOfQ3K(single, 4, w, q, stride, scratch, width, sum);
  } else {
    const high0 = highBits(type, w, 0);
    const high1 = highBits(type, w, 16);
    sum = planeOf(type, single, 0, w, high0, high1, q, stride, scratch, width, sum);
    sum = planeOf(type, single, 1, w, high0, high1, q, stride, scratch, width, sum);
    sum = planeOf(type, single, 2, w, high0, high1, q, stride, scratch, width, sum);
    sum = planeOf(type, single, 3, w, high0, high1, q, stride, scratch, width, sum);
    sum = planeOf(type, single, 4, w, high0, high1, q, stride, scratch, width, sum);
    sum = planeOf(type, single, 5, w, high0, high1, q, stride, scratch, width, sum);
    sum = planeOf(type, single, 6, w, high0, high1, q, stride, scratch, width, sum);
    sum = planeOf(type, single, 7, w, high0, high1, q, stride, scratch, width, sum);
  }

  let d: f32 = 0;
  let dmin: f32 = 0;
  if (type == Q2_K) {
    d = half(w, 80);
    dmin = half(w, 82);
  } else if (type == Q3_K) {
    d = half(w, 108);
  } else if (type == Q6_K) {
    d = half(w, 208);
  } else {
    d = half(w, 0);
    dmin = half(w, 2);
  }
  if (single) {
    finish(type, sum, scales0, scales1, minima0, minima1, d, dmin, x, scratch);
  } else {
    let at = scratch;
    let sums = scratch + PRODUCTS;
    const end = scratch + (<usize>width << 2);
    do {
      finish(type, v128.load(sums), scales0, scales1, minima0, minima1, d, dmin, x, at);
      x += stride;
      at += 4;
      sums += 16;
    } while (at < end);
  }
}

/** A plane of another type than Q3_K, unpacked by itself. */
@inline
function planeOf(
  type: i32, single: bool, index: i32, w: usize, high0: v128, high1: v128, q: usize, stride: usize, scratch: usize,
  width: i32, sum: v128,
): v128 {
  const first = weights(type, index, w, 0, high0);
  const second = weights(type, index, w, 16, high1);
  return plane(type, single, index, first, second, q, stride, scratch, width, sum);
}

/** Planes `from` to `from` + 3 of Q3_K, unpacked in pairs. */
@inline
function halfBlockOfQ3K(
  single: bool, from: i32, w: usize, q: usize, stride: usize, scratch: usize, width: i32, sum: v128,
): v128 {
  const low0 = v128.load(w + (<usize>from << 3), 32);
  const low1 = v128.load(w + (<usize>from << 3), 48);
  const high0 = nibbles(v128.load(w), from);
  const high1 = nibbles(v128.load(w, 16), from);
  const even0 = pairsOfQ3K(0, low0, high0);
  const even1 = pairsOfQ3K(0, low1, high1);
  sum = nibblePlaneOfQ3K(single, from, even0, even1, q, stride, scratch, width, sum);
  sum = nibblePlaneOfQ3K(single, from + 2, even0, even1, q, stride, scratch, width, sum);
  const odd0 = pairsOfQ3K(1, low0, high0);
  const odd1 = pairsOfQ3K(1, low1, high1);
  sum = nibblePlaneOfQ3K(single, from + 1, odd0, odd1, q, stride, scratch, width, sum);
  return nibblePlaneOfQ3K(single, from + 3, odd0, odd1, q, stride, scratch, width, sum);
}

/** A plane of Q3_K out of its pair: weights in high nibbles stay there, 16 times too large, until their products are summed. */
@inline
function nibblePlaneOfQ3K(
  single: bool, index: i32, pairs0: v128, pairs1: v128, q: usize, stride: usize, scratch: usize, width: i32, sum: v128,
): v128 {
  const mask = i8x16.splat(index & 2 ? 0x70 : 7);
  const first = v128.and(pairs0, mask);
  const second = v128.and(pairs1, mask);
  return plane(Q3_K, single, index, first, second, q, stride, scratch, width, sum);
}

/** Adds 32 weights' products to the column's sum, or, for several columns, to their sums in the scratch memory. */
@inline
function plane(
  type: i32, single: bool, index: i32, first: v128, second: v128, q: usize, stride: usize, scratch: usize, width: i32,
  sum: v128,
): v128 {
  const perBlock = type == Q4_K || type == Q5_K;
  const scales = scratch + SCALES + (<usize>index << (perBlock ? 2 : 3));
  const scale0 = v128.load32_splat(scales);
  const scale1 = perBlock ? scale0 : v128.load32_splat(scales, 4);
  q += <usize>index * 32;
  if (single) {
    const next = i32x4.add(sum, products(type, index, first, second, scale0, scale1, q));
    // Nobody reads it: a store keeps V8 from moving the loads of all planes to the front, where they fill the registers.
    v128.store(scratch + PRODUCTS, next);
    return next;
  }
  let at = scratch + PRODUCTS;
  const end = at + (<usize>width << 4);
  do {
    v128.store(at, i32x4.add(v128.load(at), products(type, index, first, second, scale0, scale1, q)));
    q += stride;
    at += 16;
  } while (at < end);
  return sum;
}

/** Eight int16 scales, each twice: `load32_splat` then fills a vector with one of them. */
@inline
function storeInPairs(scales: v128, to: usize): void {
  v128.store(to, i16x8.shuffle(scales, scales, 0, 8, 1, 9, 2, 10, 3, 11));
  v128.store(to, i16x8.shuffle(scales, scales, 4, 12, 5, 13, 6, 14, 7, 15), 16);
}

@inline
function clear(at: usize, vectors: i32): void {
  const end = at + (<usize>vectors << 4);
  do {
    v128.store(at, i64x2.splat(0));
    at += 16;
  } while (at < end);
}

/** 32 products, each group's sum times its scale. Pairs of the widest weights, 7 * 16 * 128 * 2 = 28672, fit int16. */
@inline
function products(type: i32, index: i32, w0: v128, w1: v128, scale0: v128, scale1: v128, q: usize): v128 {
  const first = i16x8.relaxed_dot_i8x16_i7x16_s(v128.load(q), w0);
  const second = i16x8.relaxed_dot_i8x16_i7x16_s(v128.load(q, 16), w1);
  if (type == Q4_K || type == Q5_K) return i32x4.dot_i16x8_s(i16x8.add(first, second), scale0);
  const both = i32x4.add(i32x4.dot_i16x8_s(first, scale0), i32x4.dot_i16x8_s(second, scale1));
  return type == Q3_K && (index & 2) ? i32x4.shr_s(both, 4) : both;
}

/** The float32 steps of the manual, in its order: dall, acc, minima, running sum; each rounded on its own. */
@inline
function finish(
  type: i32, sum: v128, scales0: v128, scales1: v128, minima0: v128, minima1: v128, d: f32, dmin: f32, x: usize, into: usize,
): void {
  const xd = load<f32>(x, SCALE);
  let r: f32 = 0;
  if (type == Q3_K || type == Q6_K) {
    // The constant offset of the weights (4 or 32), as sums of the quants times the scales.
    const offset = i32x4.add(
      i32x4.dot_i16x8_s(scales0, v128.load(x, GROUP_SUMS)),
      i32x4.dot_i16x8_s(scales1, v128.load(x, GROUP_SUMS + 16)),
    );
    const acc = i32x4.sub(sum, i32x4.shl(offset, type == Q3_K ? 2 : 5));
    const halves = i32x4.add(acc, i32x4.shuffle(acc, acc, 2, 3, 0, 1));
    r = <f32>(i32x4.extract_lane(halves, 0) + i32x4.extract_lane(halves, 1)) * (d * xd);
  } else {
    const mins = i32x4.add(
      i32x4.dot_i16x8_s(minima0, v128.load(x, SENT_SUMS)),
      i32x4.dot_i16x8_s(minima1, v128.load(x, SENT_SUMS + 16)),
    );
    const both = i32x4.add(i32x4.shuffle(sum, mins, 0, 4, 1, 5), i32x4.shuffle(sum, mins, 2, 6, 3, 7));
    const done = i32x4.add(both, i32x4.shuffle(both, both, 2, 3, 0, 1));
    r = <f32>i32x4.extract_lane(done, 0) * (d * xd) - <f32>i32x4.extract_lane(done, 1) * (dmin * xd);
  }
  store<f32>(into, load<f32>(into) + r);
}
