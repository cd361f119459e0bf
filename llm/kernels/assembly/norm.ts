import { quantizeQ8K } from './q8k';

/**
 * RMSNorm of `n` columns, with what is to be added to them before and what is to be quantised after. Per column: x += update;
 * out = x / sqrt(mean(x^2) + epsilon) * weight. Squares are rounded to float32 and summed in double, in order; the rest is
 * float32: llama.cpp's order, so that the 8-bit roundings after it agree. Scalar: what comes out may be subnormal.
 *
 * @param values `n` columns of `length` float32
 * @param update likewise; 0 where nothing is to be added
 * @param weight `length` float32
 * @param out `n` columns; may be `values`
 * @param blocks receives `out` as Q8_K; 0 where nobody wants it
 */
export function normalize(
  values: usize,
  update: usize,
  weight: usize,
  epsilon: f32,
  length: i32,
  n: i32,
  out: usize,
  blocks: usize,
): void {
  const bytes = <usize>length << 2;
  for (let column = 0; column < n; column++) {
    const sum = update == 0 ? sumOfSquares(values, bytes) : addAndSumSquares(values, update, bytes);
    const mean = <f32>(sum / <f64>length);
    const scale: f32 = 1 / sqrt<f32>(mean + epsilon);
    for (let at: usize = 0; at < bytes; at += 8) {
      store<f32>(out + at, load<f32>(values + at) * scale * load<f32>(weight + at));
      if (at + 4 < bytes) {
        store<f32>(out + at, load<f32>(values + at, 4) * scale * load<f32>(weight + at, 4), 4);
      }
    }
    values += bytes;
    out += bytes;
    if (update != 0) update += bytes;
  }
  if (blocks != 0) quantizeQ8K(out - <usize>n * bytes, n * length, blocks);
}

function sumOfSquares(values: usize, bytes: usize): f64 {
  let sum: f64 = 0;
  for (const end = values + bytes; values < end; values += 4) {
    const value = load<f32>(values);
    sum += <f64>(value * value);
  }
  return sum;
}

function addAndSumSquares(values: usize, update: usize, bytes: usize): f64 {
  let sum: f64 = 0;
  for (const end = values + bytes; values < end; values += 4) {
    const value = load<f32>(values) + load<f32>(update);
    store<f32>(values, value);
    sum += <f64>(value * value);
    update += 4;
  }
  return sum;
}

/**
 * LayerNorm of `n` columns, otherwise as {@link normalize}: out = (x - mean) / sqrt(variance + epsilon) * weight + bias. Sums are
 * double, in order; squares and the rest float32.
 *
 * @param bias `length` float32; 0 where there is none
 */
export function normalizeLayer(
  values: usize,
  update: usize,
  weight: usize,
  bias: usize,
  epsilon: f32,
  length: i32,
  n: i32,
  out: usize,
  blocks: usize,
): void {
  const bytes = <usize>length << 2;
  for (let column = 0; column < n; column++) {
    let sum: f64 = 0;
    for (let at: usize = 0; at < bytes; at += 4) {
      let value = load<f32>(values + at);
      if (update != 0) {
        value += load<f32>(update + at);
        store<f32>(values + at, value);
      }
      sum += <f64>value;
    }
    const mean = <f32>sum / <f32>length;
    let squares: f64 = 0;
    for (let at: usize = 0; at < bytes; at += 4) {
      const value = load<f32>(values + at) - mean;
      squares += <f64>(value * value);
    }
    const scale: f32 = 1 / sqrt<f32>(<f32>(squares / <f64>length) + epsilon);
    for (let at: usize = 0; at < bytes; at += 4) {
      let value = (load<f32>(values + at) - mean) * scale * load<f32>(weight + at);
      if (bias != 0) value += load<f32>(bias + at);
      store<f32>(out + at, value);
    }
    values += bytes;
    out += bytes;
    if (update != 0) update += bytes;
  }
  if (blocks != 0) quantizeQ8K(out - <usize>n * bytes, n * length, blocks);
}
