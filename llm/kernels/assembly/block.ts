/*
 * The products of attention, a block of rows (rows.ts) at a time, in the order of dot.ts. Why float32 SIMD is right here is
 * said in attention.ts.
 */
import { LANES } from './dot';

/**
 * One query times the rows of `lanes` tokens of four pages, a to d: to[token][page] = query . row * scale. Four of the 16 lanes
 * at a time, because armv7 has registers for four sums of four pages, but not for all 16.
 *
 * @param rowBytes of the query: a multiple of 64
 */
export function dotOfRows(query: usize, rows: usize, rowBytes: usize, to: usize, lanes: i32, scale: f32): void {
  const end = query + rowBytes;
  for (const last = to + (<usize>lanes << 4); to < last; to += 16) {
    let a0 = f32x4.splat(0);
    let b0 = f32x4.splat(0);
    let c0 = f32x4.splat(0);
    let d0 = f32x4.splat(0);
    {
      let at = rows;
      for (let q = query; q < end; q += LANES << 2) {
        const values = v128.load(q);
        a0 = f32x4.add(a0, f32x4.mul(values, v128.load(at)));
        at += 16;
        b0 = f32x4.add(b0, f32x4.mul(values, v128.load(at)));
        at += 16;
        c0 = f32x4.add(c0, f32x4.mul(values, v128.load(at)));
        at += 16;
        d0 = f32x4.add(d0, f32x4.mul(values, v128.load(at)));
        at += (LANES << 4) - 48;
      }
    }
    let a8 = f32x4.splat(0);
    let b8 = f32x4.splat(0);
    let c8 = f32x4.splat(0);
    let d8 = f32x4.splat(0);
    {
      let at = rows + 128;
      for (let q = query + 32; q < end; q += LANES << 2) {
        const values = v128.load(q);
        a8 = f32x4.add(a8, f32x4.mul(values, v128.load(at)));
        at += 16;
        b8 = f32x4.add(b8, f32x4.mul(values, v128.load(at)));
        at += 16;
        c8 = f32x4.add(c8, f32x4.mul(values, v128.load(at)));
        at += 16;
        d8 = f32x4.add(d8, f32x4.mul(values, v128.load(at)));
        at += (LANES << 4) - 48;
      }
    }
    a0 = f32x4.add(a0, a8);
    b0 = f32x4.add(b0, b8);
    c0 = f32x4.add(c0, c8);
    d0 = f32x4.add(d0, d8);
    let a4 = f32x4.splat(0);
    let b4 = f32x4.splat(0);
    let c4 = f32x4.splat(0);
    let d4 = f32x4.splat(0);
    {
      let at = rows + 64;
      for (let q = query + 16; q < end; q += LANES << 2) {
        const values = v128.load(q);
        a4 = f32x4.add(a4, f32x4.mul(values, v128.load(at)));
        at += 16;
        b4 = f32x4.add(b4, f32x4.mul(values, v128.load(at)));
        at += 16;
        c4 = f32x4.add(c4, f32x4.mul(values, v128.load(at)));
        at += 16;
        d4 = f32x4.add(d4, f32x4.mul(values, v128.load(at)));
        at += (LANES << 4) - 48;
      }
    }
    let a12 = f32x4.splat(0);
    let b12 = f32x4.splat(0);
    let c12 = f32x4.splat(0);
    let d12 = f32x4.splat(0);
    {
      let at = rows + 192;
      for (let q = query + 48; q < end; q += LANES << 2) {
        const values = v128.load(q);
        a12 = f32x4.add(a12, f32x4.mul(values, v128.load(at)));
        at += 16;
        b12 = f32x4.add(b12, f32x4.mul(values, v128.load(at)));
        at += 16;
        c12 = f32x4.add(c12, f32x4.mul(values, v128.load(at)));
        at += 16;
        d12 = f32x4.add(d12, f32x4.mul(values, v128.load(at)));
        at += (LANES << 4) - 48;
      }
    }
    a4 = f32x4.add(a4, a12);
    b4 = f32x4.add(b4, b12);
    c4 = f32x4.add(c4, c12);
    d4 = f32x4.add(d4, d12);
    a0 = f32x4.add(a0, a4);
    b0 = f32x4.add(b0, b4);
    c0 = f32x4.add(c0, c4);
    d0 = f32x4.add(d0, d4);
    // Lanes 2 apart, then 1 apart.
    const ab = f32x4.add(v128.shuffle<f32>(a0, b0, 0, 1, 4, 5), v128.shuffle<f32>(a0, b0, 2, 3, 6, 7));
    const cd = f32x4.add(v128.shuffle<f32>(c0, d0, 0, 1, 4, 5), v128.shuffle<f32>(c0, d0, 2, 3, 6, 7));
    const sums = f32x4.add(v128.shuffle<f32>(ab, cd, 0, 2, 4, 6), v128.shuffle<f32>(ab, cd, 1, 3, 5, 7));
    v128.store(to, f32x4.mul(sums, f32x4.splat(scale)));
    rows += rowBytes << 2;
  }
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
      rows += 16;
      sum = f32x4.add(sum, f32x4.mul(w1, v128.load(rows)));
      rows += 16;
      sum = f32x4.add(sum, f32x4.mul(w2, v128.load(rows)));
      rows += 16;
      v128.store(sums, f32x4.add(sum, f32x4.mul(w3, v128.load(rows))));
      rows += 16;
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
