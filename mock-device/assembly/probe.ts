/** One lane of the dot product that the kernels are made of, where every byte of a vector is the same: 2 * x * w. */
export function dotOfBytes(x: i32, w: i32): i32 {
  return i16x8.extract_lane_s(i16x8.relaxed_dot_i8x16_i7x16_s(i8x16.splat(<i8>x), i8x16.splat(<i8>w)), 0);
}
