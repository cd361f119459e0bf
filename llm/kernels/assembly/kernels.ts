import { dot } from './dot';

export { attend, decodeHalves, encodeHalves, roundToHalves } from './attention';
export { quantizePage } from './quantized-page';

/** One row of weights times `n` columns, all float32: results[n] = row . columns[n]. */
export function multiplyRow(row: usize, columns: usize, n: i32, length: i32, results: usize): void {
  for (let column = 0; column < n; column++) {
    const from = columns + (<usize>(column * length) << 2);
    store<f32>(results + (<usize>column << 2), dot(row, from, length));
  }
}
