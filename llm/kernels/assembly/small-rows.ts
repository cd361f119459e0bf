import { Q8_SMALL_BYTES } from './q8small';
import { readSmallBlock, smallOffset, smallScale } from './small-block';

/** The block at hand: 32 int8. */
const QUANTS = memory.data(32, 16);

/**
 * A row of blocks of 32 times `n` columns of q8small.ts: sums of products are exact, then float32 is rounded at each step and
 * added block after block: results[n] = sum of quants . quants * (d * d), and of m * s.
 *
 * @param type of Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL and MXFP4
 * @param row `blocks` blocks as in the file
 * @param columns `n` columns of as many blocks
 * @param results `n` float32
 */
export function multiplySmallRow(type: i32, row: usize, blocks: i32, columns: usize, n: i32, results: usize): void {
  const columnBytes = <usize>blocks * Q8_SMALL_BYTES;
  memory.fill(results, 0, <usize>n << 2);
  for (; blocks > 0; blocks--) {
    row = readSmallBlock(type, row, QUANTS);
    const d = smallScale;
    const m = smallOffset;
    const low = v128.load(QUANTS);
    const high = v128.load(QUANTS, 16);
    let column = columns;
    for (let to = results, end = results + (<usize>n << 2); to < end; to += 4) {
      const sum = dot16(low, v128.load(column, 8)) + dot16(high, v128.load(column, 24));
      let result = load<f32>(to) + <f32>sum * (d * load<f32>(column));
      if (m != 0) result += m * load<f32>(column, 4);
      store<f32>(to, result);
      column += columnBytes;
    }
    columns += Q8_SMALL_BYTES;
  }
}

/** The exact sum of 16 products of int8. */
// @ts-ignore: decorator
@inline
function dot16(a: v128, b: v128): i32 {
  const sums = i32x4.add(
    i32x4.extadd_pairwise_i16x8_s(i16x8.extmul_low_i8x16_s(a, b)),
    i32x4.extadd_pairwise_i16x8_s(i16x8.extmul_high_i8x16_s(a, b)),
  );
  return i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1) + (i32x4.extract_lane(sums, 2) + i32x4.extract_lane(sums, 3));
}
