/**
 * Dot product of a[from ..] and b[bFrom ..] in float32, in the order of llama.cpp's AVX-512 kernels for half-precision
 * matrices: value i goes to lane i mod 16, a lane adds its products in order, each sum rounded once, and the lanes are
 * added pairwise (8 apart, then 4, 2 and 1). The same order gives the same bits, and with them the same 8-bit roundings of
 * activations further on.
 *
 * Products of two halves are exact in float32, products of two float32 exact in double: one rounding per addition.
 */
export function dot(a: Float32Array, from: number, b: Float32Array, bFrom: number, length: number): number {
  for (let lane = 0; lane < LANES; lane += 4) {
    // Four lanes at a time: four chains of additions that do not wait for each other.
    let sum0 = 0;
    let sum1 = 0;
    let sum2 = 0;
    let sum3 = 0;
    let i = lane;
    for (; i + 3 < length; i += LANES) {
      sum0 = Math.fround(sum0 + a[from + i] * b[bFrom + i]);
      sum1 = Math.fround(sum1 + a[from + i + 1] * b[bFrom + i + 1]);
      sum2 = Math.fround(sum2 + a[from + i + 2] * b[bFrom + i + 2]);
      sum3 = Math.fround(sum3 + a[from + i + 3] * b[bFrom + i + 3]);
    }
    if (i < length) sum0 = Math.fround(sum0 + a[from + i] * b[bFrom + i]);
    if (i + 1 < length) sum1 = Math.fround(sum1 + a[from + i + 1] * b[bFrom + i + 1]);
    if (i + 2 < length) sum2 = Math.fround(sum2 + a[from + i + 2] * b[bFrom + i + 2]);
    lanes[lane] = sum0;
    lanes[lane + 1] = sum1;
    lanes[lane + 2] = sum2;
    lanes[lane + 3] = sum3;
  }
  return addLanes(lanes, 0, 1);
}

/** Lanes of the order of additions: the float32 of a 512-bit register. */
export const LANES = 16;

const lanes = new Float32Array(LANES);

/** Adds 16 lanes pairwise: those 8 apart, then 4, 2 and 1. Lane i is values[from + i * stride]; the lanes are used up. */
export function addLanes(values: Float32Array, from: number, stride: number): number {
  for (let distance = LANES / 2; distance >= 1; distance /= 2) {
    for (let lane = 0; lane < distance; lane++) {
      values[from + lane * stride] += values[from + (lane + distance) * stride];
    }
  }
  return values[from];
}
