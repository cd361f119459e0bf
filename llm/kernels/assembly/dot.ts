/** Lanes of the order of additions: the float32 of a 512-bit register. */
export const LANES = 16;

/**
 * Dot product of two float32 vectors in the order of llama.cpp's AVX-512 kernels: value i goes to lane i mod 16, a lane adds
 * its products in order, then lanes 8, 4, 2 and 1 apart are added. Scalar float32, rounded after every operation: SIMD
 * floats would flush subnormals on armv7. Products of two halves are exact.
 */
export function dot(a: usize, b: usize, length: i32): f32 {
  return everyFourth(a, b, length, 0) + everyFourth(a, b, length, 2) +
    (everyFourth(a, b, length, 1) + everyFourth(a, b, length, 3));
}

/** The sum of lanes first, first + 4, first + 8 and first + 12: four chains of additions that do not wait for each other. */
// @ts-ignore: decorator
@inline
function everyFourth(a: usize, b: usize, length: i32, first: i32): f32 {
  let sum0: f32 = 0;
  let sum4: f32 = 0;
  let sum8: f32 = 0;
  let sum12: f32 = 0;
  let left = length - first;
  let x = a + (<usize>first << 2);
  let y = b + (<usize>first << 2);
  for (; left > 12; left -= LANES) {
    sum0 += load<f32>(x) * load<f32>(y);
    sum4 += load<f32>(x, 16) * load<f32>(y, 16);
    sum8 += load<f32>(x, 32) * load<f32>(y, 32);
    sum12 += load<f32>(x, 48) * load<f32>(y, 48);
    x += LANES << 2;
    y += LANES << 2;
  }
  if (left > 0) sum0 += load<f32>(x) * load<f32>(y);
  if (left > 4) sum4 += load<f32>(x, 16) * load<f32>(y, 16);
  if (left > 8) sum8 += load<f32>(x, 32) * load<f32>(y, 32);
  return sum0 + sum8 + (sum4 + sum12);
}
