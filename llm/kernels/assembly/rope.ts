/**
 * Turns `heads` heads of `headDim` float32 in place: neighbouring values by the angle of their pair; values beyond
 * `dimensions` stay. One product rounded, the other exact: what llama.cpp's compiled code does with multiply-add
 * instructions.
 *
 * @param angles cos and sin of every pair, alternating
 */
export function rotate(values: usize, heads: i32, headDim: i32, dimensions: i32, angles: usize): void {
  const bytes = <usize>dimensions << 2;
  for (let head = 0; head < heads; head++) {
    for (let at: usize = 0; at < bytes; at += 8) {
      const cosine = load<f32>(angles + at);
      const sine = load<f32>(angles + at, 4);
      const x = load<f32>(values + at);
      const y = load<f32>(values + at, 4);
      store<f32>(values + at, <f32>(<f64>x * <f64>cosine - <f64>(y * sine)));
      store<f32>(values + at, <f32>(<f64>x * <f64>sine + <f64>(y * cosine)), 4);
    }
    values += <usize>headDim << 2;
  }
}

/** The same of values that lie `dimensions / 2` apart: the pairs of GPT-NeoX. */
export function rotateHalves(values: usize, heads: i32, headDim: i32, dimensions: i32, angles: usize): void {
  const half = <usize>dimensions << 1;
  for (let head = 0; head < heads; head++) {
    for (let at: usize = 0; at < half; at += 4) {
      const cosine = load<f32>(angles + (at << 1));
      const sine = load<f32>(angles + (at << 1), 4);
      const x = load<f32>(values + at);
      const y = load<f32>(values + at + half);
      store<f32>(values + at, <f32>(<f64>x * <f64>cosine - <f64>(y * sine)));
      store<f32>(values + at + half, <f32>(<f64>x * <f64>sine + <f64>(y * cosine)));
    }
    values += <usize>headDim << 2;
  }
}
