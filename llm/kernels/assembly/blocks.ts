import { halfToFloat } from '../../../gguf/assembly/half';

const Q2_K = 2;
const Q3_K = 3;
const Q4_K = 4;
const Q5_K = 5;

/** Bytes of a Q8_K block, and where its quants and the sums of 16 quants are. */
const INPUT_BYTES: usize = 292;
const INPUT_QUANTS: usize = 4;
const INPUT_SUMS: usize = 260;

/** Of the words that `multiplyBlocks` is given: where those of the matrices begin, and how many bytes each has. */
const MATRICES_AT: usize = 16;
const MATRIX_BYTES: usize = 24;

/** Scratch: a weight block's 256 quants as int8, 16 scales and 16 minima as int16, then the columns' running sums. */
const SCALES_AT: usize = 256;
const MINIMA_AT: usize = 288;
const SUMS_AT: usize = 320;

/**
 * Rows of K-quant blocks times columns of Q8_K blocks with the core's own arithmetic, bit for bit (gguf/multiply-block-row.ts): exact
 * int32 sums of products, then float32 steps, each rounded by itself, super-blocks added in order from +0.
 *
 * @param args words, as llm/model/cpu-rows.ts writes them: super-blocks of a row; columns; address of the columns, one after another;
 *   rows of a unit; then of each matrix its type (2 to 6), rows, address of its blocks, address of the result of its first
 *   row and column, values from one column's results to the next, and its first unit
 * @param scratch 320 bytes and a float32 a column
 */
export function multiplyBlocks(args: usize, firstUnit: i32, endUnit: i32, scratch: usize): void {
  const rowsPerUnit = load<i32>(args, 12);
  let matrix = args + MATRICES_AT;
  for (let unit = firstUnit; unit < endUnit; unit++) {
    // The next matrix's first unit follows; the last one has all that is left.
    while (unit >= load<i32>(matrix, 20 + MATRIX_BYTES)) matrix += MATRIX_BYTES;
    const first = (unit - load<i32>(matrix, 20)) * rowsPerUnit;
    const end = min(first + rowsPerUnit, load<i32>(matrix, 4));
    for (let row = first; row < end; row++) multiplyRowOfBlocks(args, matrix, row, scratch);
  }
}

function multiplyRowOfBlocks(args: usize, matrix: usize, row: i32, scratch: usize): void {
  const kb = load<i32>(args);
  const columns = load<i32>(args, 4);
  const inputs = load<usize>(args, 8);
  const type = load<i32>(matrix);
  const bytes = blockBytes(type);
  const sums = scratch + SUMS_AT;
  memory.fill(sums, 0, <usize>columns << 2);
  let block = load<usize>(matrix, 8) + <usize>(row * kb) * bytes;
  for (let k = 0; k < kb; k++) {
    const scale = unpack(type, block, scratch);
    const minimumScale: f32 = hasMinima(type) ? halfAt(block + minimumScaleAt(type)) : 0;
    let input = inputs + <usize>k * INPUT_BYTES;
    for (let column = 0; column < columns; column++) {
      const to = sums + (<usize>column << 2);
      const inputScale = load<f32>(input);
      let partial = <f32>sumOfProducts(input, scratch) * (scale * inputScale);
      if (hasMinima(type)) partial = partial - <f32>sumOfMinima(input, scratch) * (minimumScale * inputScale);
      store<f32>(to, load<f32>(to) + partial);
      input += <usize>kb * INPUT_BYTES;
    }
    block += bytes;
  }
  let out = load<usize>(matrix, 12) + (<usize>row << 2);
  for (let column = 0; column < columns; column++) {
    store<f32>(out, load<f32>(sums + (<usize>column << 2)));
    out += <usize>load<u32>(matrix, 16) << 2;
  }
}

/** At most 16 * 16 products of 32 * 128 times a scale of 128, which stays below 2^31. */
// @ts-ignore: decorator
@inline
function sumOfProducts(input: usize, weights: usize): i32 {
  let sums = i32x4.splat(0);
  let scale = weights + SCALES_AT;
  let x = input + INPUT_QUANTS;
  for (const end = weights + 256; weights < end; weights += 16) {
    const w = v128.load(weights);
    const quants = v128.load(x);
    const products = i16x8.add(i16x8.extmul_low_i8x16_s(w, quants), i16x8.extmul_high_i8x16_s(w, quants));
    sums = i32x4.add(sums, i32x4.dot_i16x8_s(products, v128.load_splat<i16>(scale)));
    scale += 2;
    x += 16;
  }
  return sumOfLanes(sums);
}

/** From the sums as they were sent, whether or not they match the quants. */
// @ts-ignore: decorator
@inline
function sumOfMinima(input: usize, weights: usize): i32 {
  const low = i32x4.dot_i16x8_s(v128.load(input, INPUT_SUMS), v128.load(weights, MINIMA_AT));
  const high = i32x4.dot_i16x8_s(v128.load(input, INPUT_SUMS + 16), v128.load(weights, MINIMA_AT + 16));
  return sumOfLanes(i32x4.add(low, high));
}

// @ts-ignore: decorator
@inline
function sumOfLanes(sums: v128): i32 {
  const low = i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1);
  return low + i32x4.extract_lane(sums, 2) + i32x4.extract_lane(sums, 3);
}

// @ts-ignore: decorator
@inline
function hasMinima(type: i32): bool {
  return type == Q2_K || type == Q4_K || type == Q5_K;
}

function blockBytes(type: i32): usize {
  if (type == Q2_K) return 84;
  if (type == Q3_K) return 110;
  if (type == Q4_K) return 144;
  if (type == Q5_K) return 176;
  return 210;
}

// @ts-ignore: decorator
@inline
function minimumScaleAt(type: i32): usize {
  return type == Q2_K ? 82 : 2;
}

// @ts-ignore: decorator
@inline
function halfAt(address: usize): f32 {
  return halfToFloat(<u32>load<u16>(address));
}

/** Quants, scales and minima of a block into the scratch. @returns its scale */
function unpack(type: i32, block: usize, to: usize): f32 {
  if (type == Q2_K) {
    const bytes = v128.load(block);
    storeWide(v128.and(bytes, i8x16.splat(15)), to + SCALES_AT);
    storeWide(i8x16.shr_u(bytes, 4), to + MINIMA_AT);
    for (let plane = 0; plane < 8; plane++) {
      const pairs = block + 16 + (<usize>(plane >> 2) << 5);
      for (let s: usize = 0; s < 32; s += 16) {
        v128.store(to, bitsOf(v128.load(pairs + s), 2 * (plane & 3), 3));
        to += 16;
      }
    }
    return halfAt(block + 80);
  }
  if (type == Q3_K) {
    for (let group: usize = 0; group < 16; group++) {
      const low = (<i32>load<u8>(block + 96 + (group & 7)) >> <i32>((group >> 3) << 2)) & 15;
      const high = (<i32>load<u8>(block + 104 + (group & 3)) >> <i32>((group >> 2) << 1)) & 3;
      store<i16>(to + (group << 1), (low | (high << 4)) - 32, SCALES_AT);
    }
    for (let plane = 0; plane < 8; plane++) {
      const pairs = block + 32 + (<usize>(plane >> 2) << 5);
      for (let s: usize = 0; s < 32; s += 16) {
        const low = bitsOf(v128.load(pairs + s), 2 * (plane & 3), 3);
        const high = i8x16.shl(bitsOf(v128.load(block + s), plane, 1), 2);
        v128.store(to, i8x16.sub(v128.or(low, high), i8x16.splat(4)));
        to += 16;
      }
    }
    return halfAt(block + 108);
  }
  if (type == Q4_K || type == Q5_K) {
    unpackSixBits(block + 4, to);
    const nibbles = block + (type == Q4_K ? 16 : 48);
    for (let plane = 0; plane < 8; plane++) {
      const bytes = nibbles + (<usize>(plane >> 1) << 5);
      for (let s: usize = 0; s < 32; s += 16) {
        let quants = bitsOf(v128.load(bytes + s), 4 * (plane & 1), 15);
        if (type == Q5_K) quants = v128.or(quants, i8x16.shl(bitsOf(v128.load(block + 16 + s), plane, 1), 4));
        v128.store(to, quants);
        to += 16;
      }
    }
    return halfAt(block);
  }
  const scales = v128.load(block, 192);
  v128.store(to, i16x8.extend_low_i8x16_s(scales), SCALES_AT);
  v128.store(to, i16x8.extend_high_i8x16_s(scales), SCALES_AT + 16);
  for (let plane = 0; plane < 8; plane++) {
    const nibbles = block + (<usize>(plane >> 2) << 6) + (<usize>(plane & 1) << 5);
    const pairs = block + 128 + (<usize>(plane >> 2) << 5);
    for (let s: usize = 0; s < 32; s += 16) {
      const low = bitsOf(v128.load(nibbles + s), 4 * ((plane >> 1) & 1), 15);
      const high = i8x16.shl(bitsOf(v128.load(pairs + s), 2 * (plane & 3), 3), 4);
      v128.store(to, i8x16.sub(v128.or(low, high), i8x16.splat(32)));
      to += 16;
    }
  }
  return halfAt(block + 208);
}

/** Eight scales and eight minima of six bits, each for two groups: gguf/blocks/scales-q4k.ts. */
// @ts-ignore: decorator
@inline
function unpackSixBits(bytes: usize, to: usize): void {
  for (let i: usize = 0; i < 4; i++) {
    const first = <i32>load<u8>(bytes + i);
    const second = <i32>load<u8>(bytes + i, 4);
    const third = <i32>load<u8>(bytes + i, 8);
    storeTwice(to + (i << 2), first & 63, second & 63);
    storeTwice(to + 16 + (i << 2), (third & 15) | ((first >> 6) << 4), (third >> 4) | ((second >> 6) << 4));
  }
}

// @ts-ignore: decorator
@inline
function storeTwice(to: usize, scale: i32, minimum: i32): void {
  store<i32>(to, scale | (scale << 16), SCALES_AT);
  store<i32>(to, minimum | (minimum << 16), MINIMA_AT);
}

// @ts-ignore: decorator
@inline
function storeWide(bytes: v128, to: usize): void {
  v128.store(to, i16x8.extend_low_i8x16_u(bytes));
  v128.store(to, i16x8.extend_high_i8x16_u(bytes), 16);
}

/** Some bits of each byte, from bit `from` on. */
// @ts-ignore: decorator
@inline
function bitsOf(bytes: v128, from: i32, mask: i8): v128 {
  return v128.and(i8x16.shr_u(bytes, from), i8x16.splat(mask));
}
