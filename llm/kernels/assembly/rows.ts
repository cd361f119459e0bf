import { LANES } from './dot';
import { halfToFloat, halvesToFloats } from '../../../gguf/assembly/half';

/** Tokens of a page: PAGE_TOKENS of llm/kv/layout.ts. As many as lanes, so that a page's token t adds to lane t. */
export const PAGE = LANES;

/** Pages that are worked on together: as many as floats of a register. */
export const BLOCK_PAGES = 4;
export const BLOCK = PAGE * BLOCK_PAGES;

/**
 * Keys or values of one head of a block as float32, such that what meets the same query value or adds to the same lane lies side by
 * side: [token of a page][four dimensions][page][dimension]. Rows are padded to `rowChunks` times four dimensions.
 *
 * Everything here and in block.ts is read by pointers that move on: on armv7 every other offset costs a bound of its own, and
 * registers for it.
 */
export function rowsBytes(headDim: i32): usize {
  return <usize>(BLOCK * rowChunks(headDim)) << 4;
}

/** Whole rounds of 16 lanes, in registers. */
// @ts-ignore: decorator
@inline
export function rowChunks(headDim: i32): i32 {
  return ((headDim + LANES - 1) / LANES) * (LANES / 4);
}

/** Rows of one page of halves, `count` tokens from `halves` on, `tokenBytes` apart; rows of other tokens become zeros. */
export function fillFromHalves(
  halves: usize,
  tokenBytes: usize,
  rows: usize,
  page: i32,
  headDim: i32,
  count: i32,
): void {
  const tokenStride = <usize>rowChunks(headDim) << 6;
  let row = rows + (<usize>page << 4);
  for (let token = 0; token < count; token++) {
    let from = halves;
    let to = row;
    let left = headDim;
    for (; left >= 8; left -= 8) {
      const bits = v128.load(from);
      v128.store(to, halvesToFloats(i32x4.extend_low_i16x8_u(bits)));
      v128.store(to, halvesToFloats(i32x4.extend_high_i16x8_u(bits)), 64);
      from += 16;
      to += 128;
    }
    for (let i = 0; i < left; i++) {
      const value = halfToFloat(<u32>load<u16>(from + (<usize>i << 1)));
      store<f32>(to + (<usize>(i >> 2) << 6) + (<usize>(i & 3) << 2), value);
    }
    halves += tokenBytes;
    row += tokenStride;
  }
  clearRows(rows, page, headDim, count);
}

/** Rows of a complete page of int8, without its scale. */
export function fillFromBytes(bytes: usize, rows: usize, page: i32, headDim: i32): void {
  const tokenStride = <usize>rowChunks(headDim) << 6;
  let row = rows + (<usize>page << 4);
  for (let token = 0; token < PAGE; token++) {
    let to = row;
    let left = headDim;
    for (; left >= 8; left -= 8) {
      const ints = v128.load_ext<i8>(bytes);
      v128.store(to, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(ints)));
      v128.store(to, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(ints)), 64);
      bytes += 8;
      to += 128;
    }
    for (let i = 0; i < left; i++) {
      store<f32>(to + (<usize>(i >> 2) << 6) + (<usize>(i & 3) << 2), <f32>load<i8>(bytes + i));
    }
    bytes += left;
    row += tokenStride;
  }
}

/** Makes zeros of a page's rows from token `first` on: what they are multiplied with is zero too, or not looked at. */
export function clearRows(rows: usize, page: i32, headDim: i32, first: i32): void {
  const chunks = rowChunks(headDim);
  let to = rows + (<usize>(first * chunks) << 6) + (<usize>page << 4);
  for (let left = (PAGE - first) * chunks; left > 0; left--) {
    v128.store(to, i32x4.splat(0));
    to += 64;
  }
}
