import { halfToFloat } from '../../../gguf/assembly/half';
import { PAGE } from './rows';

/** 1.5 * 2^23: adding it leaves an integer, rounded to nearest, ties to even. armv7 has no instruction for that. */
const ROUND: f32 = 12582912;

/*
 * A layer of an INT8 page: keys as int8 [kvHead][token][headDim], values likewise, then a float32 scale for every head's keys
 * and one for every head's values. A number is its int8 times its head's scale.
 */

// @ts-ignore: decorator
@inline
export function quantizedLayerBytes(kvHeads: i32, headDim: i32): usize {
  return <usize>(2 * PAGE * kvHeads * headDim + 8 * kvHeads);
}

/** The scale of a head's keys; of its values where kvHeads is added to `head`. */
// @ts-ignore: decorator
@inline
export function scaleAt(layer: usize, kvHeads: i32, headDim: i32, head: i32): usize {
  return layer + <usize>(2 * PAGE * kvHeads * headDim + 4 * head);
}

/**
 * Makes INT8 of a layer of a complete page: all heads' scales are their largest magnitude / 127. Where a head holds an infinity
 * or NaN its scale is NaN, and so is whatever is computed with it.
 *
 * @param keys 16 rows of kvHeads * headDim halves; `values` likewise
 * @param to a layer of an INT8 page
 */
export function quantizePage(keys: usize, values: usize, to: usize, kvHeads: i32, headDim: i32): void {
  const scales = scaleAt(to, kvHeads, headDim, 0);
  quantizeHeads(keys, to, scales, kvHeads, headDim);
  quantizeHeads(values, to + <usize>(PAGE * kvHeads * headDim), scales + (<usize>kvHeads << 2), kvHeads, headDim);
}

function quantizeHeads(halves: usize, ints: usize, scales: usize, kvHeads: i32, headDim: i32): void {
  const rowBytes = <usize>(kvHeads * headDim) << 1;
  for (let kvHead = 0; kvHead < kvHeads; kvHead++) {
    const head = halves + (<usize>(kvHead * headDim) << 1);
    let largest: u32 = 0;
    for (let token = 0; token < PAGE; token++) {
      const row = head + <usize>token * rowBytes;
      // Magnitudes of halves are in the order of their bits.
      for (let i = 0; i < headDim; i++) largest = max<u32>(largest, load<u16>(row + (<usize>i << 1)) & 0x7fff);
    }
    const finite = largest < 0x7c00;
    const magnitude = halfToFloat(largest);
    const inverse: f32 = finite && magnitude > 0 ? 127.0 / magnitude : 0.0;
    store<f32>(scales + (<usize>kvHead << 2), finite ? magnitude / 127.0 : f32.NaN);
    const to = ints + <usize>(kvHead * PAGE * headDim);
    for (let token = 0; token < PAGE; token++) {
      const row = head + <usize>token * rowBytes;
      const out = to + <usize>(token * headDim);
      for (let i = 0; i < headDim; i++) {
        const value = finite ? halfToFloat(load<u16>(row + (<usize>i << 1))) * inverse : 0.0;
        store<i8>(out + i, <i32>(value + ROUND - ROUND));
      }
    }
  }
}

/**
 * A query as int16, so that its products with int8 keys add up exactly: 2^15 * 2^7 * 512 values fit 32 bits.
 * @returns its scale; NaN where the query is not finite
 */
export function quantizeQuery(query: usize, ints: usize, headDim: i32): f32 {
  let largest: f32 = 0;
  for (let i = 0; i < headDim; i++) largest = max<f32>(largest, abs<f32>(load<f32>(query + (<usize>i << 2))));
  const finite = largest < f32.MAX_VALUE;
  const inverse: f32 = finite && largest > 0 ? 32767.0 / largest : 0.0;
  for (let i = 0; i < headDim; i++) {
    const value = finite ? load<f32>(query + (<usize>i << 2)) * inverse : 0.0;
    store<i16>(ints + (<usize>i << 1), <i32>(value + ROUND - ROUND));
  }
  return finite ? largest / 32767.0 : f32.NaN;
}

/** Sum of products of int16 and int8, exact as long as it fits 32 bits. */
export function dotOfInts(query: usize, key: usize, headDim: i32): i32 {
  let sums = i32x4.splat(0);
  let i = 0;
  for (; i + 8 <= headDim; i += 8) {
    const k = v128.load_ext<i8>(key + i);
    sums = i32x4.add(sums, i32x4.dot_i16x8_s(v128.load(query + (<usize>i << 1)), k));
  }
  let sum =
    i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1) + i32x4.extract_lane(sums, 2) + i32x4.extract_lane(sums, 3);
  for (; i < headDim; i++) sum += <i32>load<i16>(query + (<usize>i << 1)) * <i32>load<i8>(key + i);
  return sum;
}
