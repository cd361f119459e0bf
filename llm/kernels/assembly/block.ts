/*
 * The products of attention, a block of rows (rows.ts) at a time, in the order of dot.ts. Why float32 SIMD is right here is
 * said in attention.ts.
 */
import { LANES } from './dot';

/**
 * One query times the rows of `lanes` tokens of four pages: to[token][page] = query . row * scale.
 *
 * @param rowBytes of the query: a multiple of 64
 */
export function dotOfRows(query: usize, rows: usize, rowBytes: usize, to: usize, lanes: i32, scale: f32): void {
  const scales = f32x4.splat(scale);
  for (let token = 0; token < lanes; token++) {
    const first = sumsOfPair(query, rows, rowBytes);
    const second = sumsOfPair(query, rows + 32, rowBytes);
    // Lanes 1 apart.
    const even = v128.shuffle<f32>(first, second, 0, 2, 4, 6);
    const odd = v128.shuffle<f32>(first, second, 1, 3, 5, 7);
    v128.store(to, f32x4.mul(f32x4.add(even, odd), scales));
    to += 16;
    rows += rowBytes << 2;
  }
}

/** The products with one token of two pages, lanes 8, 4 and 2 apart added: two lanes of each page. */
// @ts-ignore: decorator
@inline
function sumsOfPair(query: usize, rows: usize, rowBytes: usize): v128 {
  const end = query + rowBytes;
  // Lanes 0 to 3, 4 to 7, 8 to 11 and 12 to 15 of either page.
  let a0 = f32x4.splat(0);
  let a4 = f32x4.splat(0);
  let a8 = f32x4.splat(0);
  let a12 = f32x4.splat(0);
  let b0 = f32x4.splat(0);
  let b4 = f32x4.splat(0);
  let b8 = f32x4.splat(0);
  let b12 = f32x4.splat(0);
  for (; query < end; query += LANES << 2) {
    let values = v128.load(query);
    a0 = f32x4.add(a0, f32x4.mul(values, v128.load(rows)));
    b0 = f32x4.add(b0, f32x4.mul(values, v128.load(rows, 16)));
    values = v128.load(query, 16);
    a4 = f32x4.add(a4, f32x4.mul(values, v128.load(rows, 64)));
    b4 = f32x4.add(b4, f32x4.mul(values, v128.load(rows, 80)));
    values = v128.load(query, 32);
    a8 = f32x4.add(a8, f32x4.mul(values, v128.load(rows, 128)));
    b8 = f32x4.add(b8, f32x4.mul(values, v128.load(rows, 144)));
    values = v128.load(query, 48);
    a12 = f32x4.add(a12, f32x4.mul(values, v128.load(rows, 192)));
    b12 = f32x4.add(b12, f32x4.mul(values, v128.load(rows, 208)));
    rows += LANES << 4;
  }
  const a = f32x4.add(f32x4.add(a0, a8), f32x4.add(a4, a12));
  const b = f32x4.add(f32x4.add(b0, b8), f32x4.add(b4, b12));
  return f32x4.add(v128.shuffle<f32>(a, b, 0, 1, 4, 5), v128.shuffle<f32>(a, b, 2, 3, 6, 7));
}

/**
 * sums[token] += weights[token][page] * scales[page] * row, page after page, for `lanes` tokens of four pages.
 *
 * @param sums rows of `rowBytes`
 */
export function addWeighted(
  weights: usize,
  scales: v128,
  rows: usize,
  rowBytes: usize,
  sums: usize,
  lanes: i32,
): void {
  for (let token = 0; token < lanes; token++) {
    const four = f32x4.mul(v128.load(weights), scales);
    const w0 = v128.shuffle<f32>(four, four, 0, 0, 0, 0);
    const w1 = v128.shuffle<f32>(four, four, 1, 1, 1, 1);
    const w2 = v128.shuffle<f32>(four, four, 2, 2, 2, 2);
    const w3 = v128.shuffle<f32>(four, four, 3, 3, 3, 3);
    for (const end = sums + rowBytes; sums < end; sums += 16) {
      let sum = f32x4.add(v128.load(sums), f32x4.mul(w0, v128.load(rows)));
      sum = f32x4.add(sum, f32x4.mul(w1, v128.load(rows, 16)));
      sum = f32x4.add(sum, f32x4.mul(w2, v128.load(rows, 32)));
      sum = f32x4.add(sum, f32x4.mul(w3, v128.load(rows, 48)));
      v128.store(sums, sum);
      rows += 64;
    }
    weights += 16;
  }
}

/** to[i] = the 16 lanes of dimension i added in the order of dot.ts; lane l is row l of `sums`. */
export function addLanes(sums: usize, rowBytes: usize, to: usize, length: i32): void {
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    v128.store(to, sumOfLanes(sums, rowBytes));
    sums += 16;
    to += 16;
  }
  if (i == length) return;
  const rest = sumOfLanes(sums, rowBytes);
  store<f32>(to, f32x4.extract_lane(rest, 0));
  if (i + 1 < length) store<f32>(to, f32x4.extract_lane(rest, 1), 4);
  if (i + 2 < length) store<f32>(to, f32x4.extract_lane(rest, 2), 8);
}

// @ts-ignore: decorator
@inline
function sumOfLanes(sums: usize, rowBytes: usize): v128 {
  const even = f32x4.add(fourApart(sums, rowBytes), fourApart(sums + 2 * rowBytes, rowBytes));
  const odd = f32x4.add(fourApart(sums + rowBytes, rowBytes), fourApart(sums + 3 * rowBytes, rowBytes));
  return f32x4.add(even, odd);
}

/** Lanes l, l + 4, l + 8 and l + 12. */
// @ts-ignore: decorator
@inline
function fourApart(sums: usize, rowBytes: usize): v128 {
  const first = f32x4.add(v128.load(sums), v128.load(sums + 8 * rowBytes));
  return f32x4.add(first, f32x4.add(v128.load(sums + 4 * rowBytes), v128.load(sums + 12 * rowBytes)));
}
