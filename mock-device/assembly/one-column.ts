import { PREPARED_BYTES, SCALE } from './layout';
import { addProducts } from './planes';
import { blockResults, hasMinima, storeScales, totals } from './products';
import { blockBytes, bothHalves, halves } from './unpack';

/** Rows whose float32 steps are done together. */
const ROWS: i32 = 4;
/** Scratch: of a block of each row, 16 bytes further on, the int32 sums of its products, */
const BLOCK: usize = 16;
/** of its minima, */
const MINIMA: usize = 64;
/** and, in the first word of 16 bytes, its d and dmin as they lie in it, 16 bits each. */
const HALVES: usize = 128;
/** The scales of the block at hand. */
const SCALES: usize = 192;

/** `multiply` for one column. Behind the results of the last rows it may store others. Scratch: 224 bytes. */
@inline
export function oneColumn(
  type: i32, lanes: usize, laneShift: i32, inputs: usize, outputs: usize, scratch: usize, kb: i32, rows: i32,
): void {
  const laneMask = (1 << laneShift) - 1;
  for (let row = 0; row < rows; row += ROWS) {
    const end = scratch + <usize>min(rows - row, ROWS) * BLOCK;
    let x = inputs;
    let sums = f32x4.splat(0);
    for (let k = 0; k < kb; ++k) {
      let number = row * kb + k;
      for (let at = scratch; at < end; at += BLOCK) {
        const lane = load<u32>(lanes + (<usize>(number & laneMask) << 2));
        const w = lane + <u32>(number >> laneShift) * <u32>blockBytes(type);
        store<u32>(at, bothHalves(type, w), HALVES);
        const groups = storeScales(type, w, scratch + SCALES, x);
        if (hasMinima(type)) v128.store(at, groups, MINIMA);
        addProducts(type, w, x, scratch + SCALES, at, hasMinima(type) ? i64x2.splat(0) : groups);
        number += kb;
      }
      sums = f32x4.add(sums, results(type, scratch, v128.load32_splat(x, SCALE)));
      x += PREPARED_BYTES;
    }
    v128.store(outputs, sums);
    outputs += ROWS * 4;
  }
}

/** What the blocks add to their rows' sums; of rows that are not there anything. */
@inline
function results(type: i32, scratch: usize, xd: v128): v128 {
  let both = v128.load32_zero(scratch, HALVES);
  both = v128.load_lane<u32>(scratch, both, 1, HALVES + BLOCK);
  both = v128.load_lane<u32>(scratch, both, 2, HALVES + 2 * BLOCK);
  both = v128.load_lane<u32>(scratch, both, 3, HALVES + 3 * BLOCK);
  const d = halves(v128.and(both, i32x4.splat(0xffff)));
  const dmin = hasMinima(type) ? halves(i32x4.shr_u(both, 16)) : d;
  const minima = hasMinima(type) ? totalsAt(scratch + MINIMA) : d;
  return blockResults(hasMinima(type), totalsAt(scratch), minima, d, dmin, xd);
}

@inline
function totalsAt(at: usize): v128 {
  return totals(v128.load(at), v128.load(at, 16), v128.load(at, 32), v128.load(at, 48));
}
