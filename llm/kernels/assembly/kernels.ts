import { dot } from './dot';

export { attend } from './attention';
export { multiplyBlocks } from './blocks';
export { cap } from './cap';
export { coreRowOfFloats, coreRowOfIq4Xs, coreRowOfSmall, decodeSmall } from './core-rows';
export { geGlu } from './gelu';
export { decodeBfloats, decodeHalves, encodeHalves, roundToBfloats, roundToHalves } from '../../../gguf/assembly/half';
export { normalize, normalizeLayer } from './norm';
export { quantizeColumns, quantizeQ8K } from './q8k';
export { quantizeQ8Small } from './q8small';
export { quantizePage } from './quantized-page';
export { rotate, rotateHalves } from './rope';
export { multiplySmallRow } from './small-rows';
export { multiplySuperRow } from './super-rows';
export { swiGlu } from './swiglu';

/** One row of weights times `n` columns, all float32: results[n] = row . columns[n]. */
export function multiplyRow(row: usize, columns: usize, n: i32, length: i32, results: usize): void {
  for (let column = 0; column < n; column++) {
    const from = columns + (<usize>(column * length) << 2);
    store<f32>(results + (<usize>column << 2), dot(row, from, length));
  }
}
