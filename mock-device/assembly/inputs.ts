import { GROUP_SUMS, PREPARED_BYTES, Q8K_BYTES, Q8K_QUANTS, Q8K_SUMS, QUANTS, SCALE, SENT_SUMS } from './layout';

/**
 * Prepares `count` Q8_K blocks of 292 bytes for the kernels: aligned, with the sums of every 16 quants. The sums as sent are
 * kept beside them, because the core uses those for the minima whether they match the quants or not.
 */
export function prepareInputs(source: usize, destination: usize, count: i32): void {
  for (let block = 0; block < count; ++block) {
    for (let group: usize = 0; group < 16; ++group) {
      const bytes = v128.load(source + Q8K_QUANTS + group * 16);
      const even = i16x8.shr_s(i16x8.shl(bytes, 8), 8);
      const odd = i16x8.shr_s(bytes, 8);
      v128.store(destination + QUANTS + group * 16, bytes);
      store<i16>(destination + GROUP_SUMS + group * 2, <i16>sumOfLanes(i16x8.add(even, odd)));
    }
    v128.store(destination + SENT_SUMS, v128.load(source + Q8K_SUMS));
    v128.store(destination + SENT_SUMS, v128.load(source + Q8K_SUMS, 16), 16);
    store<u32>(destination + SCALE, load<u32>(source));
    source += Q8K_BYTES;
    destination += PREPARED_BYTES;
  }
}

@inline
function sumOfLanes(lanes: v128): i32 {
  const pairs = i32x4.extadd_pairwise_i16x8_s(lanes);
  const halves = i32x4.add(pairs, i32x4.shuffle(pairs, pairs, 2, 3, 0, 1));
  return i32x4.extract_lane(halves, 0) + i32x4.extract_lane(halves, 1);
}
