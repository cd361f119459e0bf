import { PLANE_BYTES, PREPARED_BYTES, QUANTS, SCALE } from './layout';
import { WEIGHTS_BYTES, storeWeights } from './planes';
import { SCALES_BYTES, blockResults, groupProducts, hasMinima, planeProducts, storeScalesAndFactors, totals } from './products';
import { blockBytes, bothHalves, halves } from './unpack';

/** Scratch: of the block at hand of each of two rows its weights and scales, */
const BLOCK: usize = WEIGHTS_BYTES + SCALES_BYTES;
/** d and dmin of both, twice, as float32; */
const D: usize = 2 * BLOCK;
const DMIN: usize = D + 16;
/** where sums are stored that nobody reads (planes.ts); */
const ASIDE: usize = D + 32;
/** of every two columns the running sums: of both rows in the first column, then in the second. */
const SUMS: usize = D + 48;

/** `multiply` for more columns than one: each block is unpacked once for all of them. Scratch: 688 bytes and 8 a column. */
@inline
export function someColumns(
  type: i32, lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32, columns: i32,
): void {
  for (let row = 0; row < rows; row += 2) {
    // A row or column without a second one is its own.
    const second = row + 1 < rows ? kb : 0;
    memory.fill(scratch + SUMS, 0, <usize>(columns + 1 >> 1) << 4);
    let x = inputs;
    for (let k = 0; k < kb; ++k) {
      const number = row * kb + k;
      const w0 = blockAt(type, lanes, laneShift, number);
      const w1 = blockAt(type, lanes, laneShift, number + second);
      storeScalesAndFactors(type, w0, scratch + WEIGHTS_BYTES);
      storeWeights(type, w0, scratch);
      storeScalesAndFactors(type, w1, scratch + BLOCK + WEIGHTS_BYTES);
      storeWeights(type, w1, scratch + BLOCK);
      const both = i32x4.replace_lane(i32x4.splat(bothHalves(type, w0)), 1, bothHalves(type, w1));
      const twice = i64x2.shuffle(both, both, 0, 0);
      v128.store(scratch, halves(v128.and(twice, i32x4.splat(0xffff))), D);
      if (hasMinima(type)) {
        v128.store(scratch, halves(i32x4.shr_u(twice, 16)), DMIN);
        addBlocksWithMinima(x, <usize>kb * PREPARED_BYTES, scratch, columns);
      } else addBlocks(x, <usize>kb * PREPARED_BYTES, scratch, columns);
      x += PREPARED_BYTES;
    }
    storeSums(scratch + SUMS, outputs + (<usize>row << 2), rows, second != 0, columns);
  }
}

@inline
function blockAt(type: i32, lanes: usize, laneShift: i32, number: i32): usize {
  const lane = load<u32>(lanes + (<usize>(number & (1 << laneShift) - 1) << 2));
  return lane + <u32>(number >> laneShift) * <u32>blockBytes(type);
}

function addBlocks(x: usize, stride: usize, scratch: usize, columns: i32): void {
  addToColumns(false, x, stride, scratch, columns);
}

function addBlocksWithMinima(x: usize, stride: usize, scratch: usize, columns: i32): void {
  addToColumns(true, x, stride, scratch, columns);
}

/** Adds what two blocks make with an input block of each column, `stride` bytes apart, to the columns' sums. */
@inline
function addToColumns(minima: bool, x: usize, stride: usize, scratch: usize, columns: i32): void {
  const other = scratch + BLOCK;
  for (let at = scratch + SUMS; columns > 0; columns -= 2) {
    const y = columns > 1 ? x + stride : x;
    // Of the first row in the first column, the second row there, then of both in the second column.
    let s0 = groupProducts(minima, scratch + WEIGHTS_BYTES, x);
    let s1 = groupProducts(minima, other + WEIGHTS_BYTES, x);
    let s2 = groupProducts(minima, scratch + WEIGHTS_BYTES, y);
    let s3 = groupProducts(minima, other + WEIGHTS_BYTES, y);
    const sumsOfMinima = minima ? totals(s0, s1, s2, s3) : i64x2.splat(0);
    if (minima) s0 = s1 = s2 = s3 = i64x2.splat(0);
    let scales = scratch + WEIGHTS_BYTES;
    let qx = x + QUANTS;
    let qy = y + QUANTS;
    for (let w = scratch; w < scratch + WEIGHTS_BYTES; w += PLANE_BYTES) {
      const x0 = v128.load(qx);
      const x1 = v128.load(qx, 16);
      const y0 = v128.load(qy);
      const y1 = v128.load(qy, 16);
      const first0 = v128.load(w);
      const first1 = v128.load(w, 16);
      const scale = v128.load32_splat(scales);
      s0 = i32x4.add(s0, planeProducts(first0, first1, x0, x1, scale));
      v128.store(scratch, s0, ASIDE);
      s2 = i32x4.add(s2, planeProducts(first0, first1, y0, y1, scale));
      v128.store(scratch, s2, ASIDE);
      const second0 = v128.load(w, BLOCK);
      const second1 = v128.load(w, BLOCK + 16);
      const secondScale = v128.load32_splat(scales, BLOCK);
      s1 = i32x4.add(s1, planeProducts(second0, second1, x0, x1, secondScale));
      v128.store(scratch, s1, ASIDE);
      s3 = i32x4.add(s3, planeProducts(second0, second1, y0, y1, secondScale));
      scales += 4;
      qx += PLANE_BYTES;
      qy += PLANE_BYTES;
    }
    const products = totals(s0, s1, s2, s3);
    const xd = i32x4.shuffle(v128.load32_splat(x, SCALE), v128.load32_splat(y, SCALE), 0, 1, 4, 5);
    const results = blockResults(minima, products, sumsOfMinima, v128.load(scratch, D), v128.load(scratch, DMIN), xd);
    v128.store(at, f32x4.add(v128.load(at), results));
    x += 2 * stride;
    at += 16;
  }
}

/** The sums of one or two rows to where the results of their columns are. */
function storeSums(sums: usize, outputs: usize, rows: i32, both: bool, columns: i32): void {
  for (let column = 0; column < columns; ++column) {
    store<f32>(outputs, load<f32>(sums));
    if (both) store<f32>(outputs, load<f32>(sums, 4), 4);
    sums += 8;
    outputs += <usize>rows << 2;
  }
}
