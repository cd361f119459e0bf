/** Of a block here: d, a float32, 16 int8 scales, 256 int8 quants. */
const BLOCK_BYTES: usize = 276;
/** Of Q8_K: d, 256 int8 quants, 16 sums. */
const Q8K_BYTES: usize = 292;

/**
 * A row of unpacked super-blocks times `n` columns of Q8_K: sums of products times their scales are exact, then float32 is rounded
 * at each step and added block after block, as the core does it.
 *
 * @param results `n` float32
 */
export function multiplySuperRow(row: usize, blocks: i32, columns: usize, n: i32, results: usize): void {
  for (let column = 0; column < n; column++) {
    let result: f32 = 0;
    let block = row;
    for (let i = 0; i < blocks; i++) {
      const sum = <f32>sumOfProducts(block + 4, columns + 4);
      result += sum * (load<f32>(block) * load<f32>(columns));
      block += BLOCK_BYTES;
      columns += Q8K_BYTES;
    }
    store<f32>(results + (<usize>column << 2), result);
  }
}

/** At most 256 * 127 * 127 * 32, which is below 2^31. */
function sumOfProducts(scales: usize, quants: usize): i32 {
  let total = i32x4.splat(0);
  for (let group: usize = 0; group < 16; group++) {
    const a = v128.load(scales + 16 + (group << 4));
    const b = v128.load(quants + (group << 4));
    const sums = i32x4.add(
      i32x4.extadd_pairwise_i16x8_s(i16x8.extmul_low_i8x16_s(a, b)),
      i32x4.extadd_pairwise_i16x8_s(i16x8.extmul_high_i8x16_s(a, b)),
    );
    total = i32x4.add(total, i32x4.mul(sums, i32x4.splat(<i32>load<i8>(scales + group))));
  }
  return i32x4.extract_lane(total, 0) + i32x4.extract_lane(total, 1) + (i32x4.extract_lane(total, 2) + i32x4.extract_lane(total, 3));
}
