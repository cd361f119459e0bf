import { PREPARED_BYTES, QUANTS, SCALE } from './layout';
import {
  blockResults, groupProducts, hasMinima, isPerPlane, planeProducts, scaleOffset, storeGroupScales, storeInPairs, totals,
} from './products';
import {
  Q2_K, Q3_K, blockBytes, blockMinima, blockScales, bothHalves, firstInPairs, groupScales, halves, highBits, highNibble, lowNibble, nibbles, lastInPairs,
  pairsOfQ3K, weights,
} from './unpack';

/** Blocks whose float32 steps are done together: neighbours in memory, be they of one row or of several. */
const BLOCKS: i32 = 4;
/** Scratch: of each of them, 16 bytes further on, the int32 sums of its products, */
const BLOCK: usize = 16;
/** of its minima, */
const MINIMA: usize = 64;
/** then its address, d and dmin as they lie in it, 16 bits each, and the scale of its input. */
const ADDRESS: usize = 128;
const HALVES: usize = 132;
const INPUT_SCALE: usize = 136;
/** What the blocks add to their rows' sums. */
const RESULTS: usize = 192;
/** The scales of the block at hand. */
const SCALES: usize = 208;

/** `multiply` for one column. */
@inline
export function oneColumn(
  type: i32, lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32,
): void {
  for (let i = 0; i < BLOCKS; ++i) {
    const lane = load<u32>(lanes + (<usize>(i & ((1 << laneShift) - 1)) << 2));
    store<u32>(scratch + <usize>i * BLOCK, lane + <u32>(i >> laneShift) * <u32>blockBytes(type), ADDRESS);
  }
  const step = <u32>(<usize>(BLOCKS >> laneShift) * blockBytes(type));
  const lastInput = inputs + <usize>(kb - 1) * PREPARED_BYTES;
  let x = inputs;
  let k = kb;
  let sum: f32 = 0;
  for (let left = rows * kb; left > 0; left -= BLOCKS) {
    const count = <usize>min(left, BLOCKS);
    for (let at = scratch, end = scratch + count * BLOCK; at < end; at += BLOCK) {
      const w = load<u32>(at, ADDRESS);
      store<u32>(at, w + step, ADDRESS);
      store<u32>(at, bothHalves(type, w), HALVES);
      store<u32>(at, load<u32>(x, SCALE), INPUT_SCALE);
      block(type, w, x, at, scratch + SCALES);
      x = x == lastInput ? inputs : x + PREPARED_BYTES;
    }
    v128.store(scratch, finish(type, scratch), RESULTS);
    for (let at = scratch, end = scratch + (count << 2); at < end; at += 4) {
      sum += load<f32>(at, RESULTS);
      if (--k == 0) {
        store<f32>(outputs, sum);
        outputs += 4;
        sum = 0;
        k = kb;
      }
    }
  }
}

/**
 * One weight block against one input block: the sums of its products, and of its minima, at `into`. Stores in between that
 * nobody reads keep V8 from moving the loads of all planes to the front, where they fill the registers.
 */
@inline
function block(type: i32, w: usize, x: usize, into: usize, scales: usize): void {
  let groups: v128;
  if (isPerPlane(type)) {
    storeInPairs(blockScales(w), scales);
    groups = groupProducts(type, firstInPairs(blockMinima(w)), lastInPairs(blockMinima(w)), x);
  } else {
    const bytes = groupScales(type, w);
    const first = i16x8.extend_low_i8x16_s(bytes);
    const last = i16x8.extend_high_i8x16_s(bytes);
    storeGroupScales(first, last, scales);
    if (type == Q2_K) {
      const minima = i8x16.shr_u(v128.load(w), 4);
      groups = groupProducts(type, i16x8.extend_low_i8x16_u(minima), i16x8.extend_high_i8x16_u(minima), x);
    } else groups = groupProducts(type, first, last, x);
  }
  const q = x + QUANTS;
  let sum = hasMinima(type) ? i64x2.splat(0) : i32x4.neg(groups);
  if (hasMinima(type)) v128.store(into + MINIMA, groups);
  if (type == Q3_K) {
    sum = halfBlockOfQ3K(0, w, scales, q, into, sum);
    sum = halfBlockOfQ3K(4, w, scales, q, into, sum);
  } else {
    const high0 = highBits(type, w, 0);
    const high1 = highBits(type, w, 16);
    sum = planeOf(type, 0, w, high0, high1, scales, q, into, sum);
    sum = planeOf(type, 1, w, high0, high1, scales, q, into, sum);
    sum = planeOf(type, 2, w, high0, high1, scales, q, into, sum);
    sum = planeOf(type, 3, w, high0, high1, scales, q, into, sum);
    sum = planeOf(type, 4, w, high0, high1, scales, q, into, sum);
    sum = planeOf(type, 5, w, high0, high1, scales, q, into, sum);
    sum = planeOf(type, 6, w, high0, high1, scales, q, into, sum);
    planeOf(type, 7, w, high0, high1, scales, q, into, sum);
  }
}

/** Planes `from` to `from` + 3 of Q3_K, unpacked in pairs. Weights in high nibbles are 16 times too large until their products are summed. */
@inline
function halfBlockOfQ3K(from: i32, w: usize, scales: usize, q: usize, into: usize, sum: v128): v128 {
  const low0 = v128.load(w + (<usize>from << 3), 32);
  const low1 = v128.load(w + (<usize>from << 3), 48);
  const high0 = nibbles(v128.load(w), from);
  const high1 = nibbles(v128.load(w, 16), from);
  const even0 = pairsOfQ3K(0, low0, high0);
  const even1 = pairsOfQ3K(0, low1, high1);
  sum = addPlane(Q3_K, from, 0, lowNibble(even0), lowNibble(even1), scales, q, into, sum);
  sum = addPlane(Q3_K, from + 2, 4, highNibble(even0), highNibble(even1), scales, q, into, sum);
  const odd0 = pairsOfQ3K(1, low0, high0);
  const odd1 = pairsOfQ3K(1, low1, high1);
  sum = addPlane(Q3_K, from + 1, 0, lowNibble(odd0), lowNibble(odd1), scales, q, into, sum);
  return addPlane(Q3_K, from + 3, 4, highNibble(odd0), highNibble(odd1), scales, q, into, sum);
}

/** A plane of another type. */
@inline
function planeOf(
  type: i32, index: i32, w: usize, high0: v128, high1: v128, scales: usize, q: usize, into: usize, sum: v128,
): v128 {
  const w0 = weights(type, index, w, 0, high0);
  return addPlane(type, index, 0, w0, weights(type, index, w, 16, high1), scales, q, into, sum);
}

/** Adds the products of a plane, which are 2^shift times too large, to the sum. */
@inline
function addPlane(
  type: i32, index: i32, shift: i32, w0: v128, w1: v128, scales: usize, q: usize, into: usize, sum: v128,
): v128 {
  const at = scales + scaleOffset(type, index);
  const scale0 = v128.load32_splat(at);
  const scale1 = isPerPlane(type) ? scale0 : v128.load32_splat(at, 4);
  const products = planeProducts(type, w0, w1, scale0, scale1, q + <usize>index * 32);
  const next = i32x4.add(sum, shift ? i32x4.shr_s(products, shift) : products);
  v128.store(into, next);
  return next;
}

/** What the blocks add to their rows' sums. */
@inline
function finish(type: i32, scratch: usize): v128 {
  const both = ofBlocks(scratch + HALVES);
  const d = halves(v128.and(both, i32x4.splat(0xffff)));
  const dmin = hasMinima(type) ? halves(i32x4.shr_u(both, 16)) : d;
  const minima = hasMinima(type) ? totals(scratch + MINIMA) : d;
  return blockResults(type, totals(scratch), minima, d, dmin, ofBlocks(scratch + INPUT_SCALE));
}

/** A word of each block. */
@inline
function ofBlocks(at: usize): v128 {
  let words = v128.load32_zero(at);
  words = v128.load_lane<u32>(at, words, 1, BLOCK);
  words = v128.load_lane<u32>(at, words, 2, 2 * BLOCK);
  return v128.load_lane<u32>(at, words, 3, 3 * BLOCK);
}
