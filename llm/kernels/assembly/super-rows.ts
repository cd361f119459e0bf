import { QUANTS, SCALES, superBlockBytes, unpackSuperBlock } from './super-blocks';

/** Of Q8_K: d, 256 int8 quants, 16 sums. */
const Q8K_BYTES: usize = 292;

/**
 * A row of super-blocks without mins times `n` columns of Q8_K: sums of products times their scales are exact, then float32 is
 * rounded at each step and added block after block, as the core does it.
 *
 * @param type of super-blocks.ts
 * @param row `blocks` blocks as in the file
 * @param grid points of the type; of no matter where it has none
 * @param results `n` float32
 */
export function multiplySuperRow(
  type: i32,
  row: usize,
  blocks: i32,
  columns: usize,
  n: i32,
  grid: usize,
  results: usize,
): void {
  const rowBytes = superBlockBytes(type);
  const columnBytes = <usize>blocks * Q8K_BYTES;
  memory.fill(results, 0, <usize>n << 2);
  for (; blocks > 0; blocks--) {
    const d = unpackSuperBlock(type, row, grid);
    let column = columns;
    for (let to = results, end = results + (<usize>n << 2); to < end; to += 4) {
      const sum = <f32>sumOfProducts(column + 4);
      store<f32>(to, load<f32>(to) + sum * (d * load<f32>(column)));
      column += columnBytes;
    }
    row += rowBytes;
    columns += Q8K_BYTES;
  }
}

/** Of the block at hand: at most 256 * 127 * 127 * 32, which is below 2^31. */
function sumOfProducts(quants: usize): i32 {
  let total = i32x4.splat(0);
  for (let group: usize = 0; group < 16; group++) {
    const a = v128.load(QUANTS + (group << 4));
    const b = v128.load(quants + (group << 4));
    const sums = i32x4.add(
      i32x4.extadd_pairwise_i16x8_s(i16x8.extmul_low_i8x16_s(a, b)),
      i32x4.extadd_pairwise_i16x8_s(i16x8.extmul_high_i8x16_s(a, b)),
    );
    total = i32x4.add(total, i32x4.mul(sums, i32x4.splat(<i32>load<i8>(SCALES + group))));
  }
  return i32x4.extract_lane(total, 0) + i32x4.extract_lane(total, 1) + (i32x4.extract_lane(total, 2) + i32x4.extract_lane(total, 3));
}
