import {
  OFFSET_SUMS, PLANE_BYTES, PREPARED_BYTES, Q8K_BYTES, Q8K_QUANTS, Q8K_SUMS, QUANTS, SCALE, SENT_SUMS, firstPairs, lastPairs,
} from './layout';

/**
 * Prepares `count` Q8_K blocks of 292 bytes for the kernels: aligned, in their order, with the sums of every 16 quants. The sums
 * as sent are kept beside them, because the core uses those for the minima whether they match the quants or not.
 */
export function prepareInputs(source: usize, destination: usize, count: i32): void {
  for (let block = 0; block < count; ++block) {
    for (let plane: usize = 0; plane < 8; ++plane) {
      const first = v128.load(source + Q8K_QUANTS + plane * PLANE_BYTES);
      const second = v128.load(source + Q8K_QUANTS + plane * PLANE_BYTES, 16);
      const to = destination + QUANTS + plane * PLANE_BYTES;
      v128.store(to, firstPairs(first, second));
      v128.store(to, lastPairs(first, second), 16);
      const sums = destination + OFFSET_SUMS + plane * 4;
      store<i16>(sums, <i16>(-4 * sumOfBytes(first)));
      store<i16>(sums, <i16>(-4 * sumOfBytes(second)), 2);
    }
    v128.store(destination + SENT_SUMS, v128.load(source + Q8K_SUMS));
    v128.store(destination + SENT_SUMS, v128.load(source + Q8K_SUMS, 16), 16);
    store<u32>(destination + SCALE, load<u32>(source));
    source += Q8K_BYTES;
    destination += PREPARED_BYTES;
  }
}

@inline
function sumOfBytes(bytes: v128): i32 {
  const pairs = i32x4.extadd_pairwise_i16x8_s(i16x8.extadd_pairwise_i8x16_s(bytes));
  const halves = i32x4.add(pairs, i32x4.shuffle(pairs, pairs, 2, 3, 0, 1));
  return i32x4.extract_lane(halves, 0) + i32x4.extract_lane(halves, 1);
}
