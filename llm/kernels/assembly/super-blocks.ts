import { halfToFloat } from '../../../gguf/assembly/half';
import { BITS, readNonlinear } from './small-block';

/** Types of 256 weights a block, by GGML's numbers. */
const IQ2_XXS = 16;
const IQ2_XS = 17;
const IQ3_XXS = 18;
const IQ1_S = 19;
const IQ3_S = 21;
const IQ2_S = 22;
const IQ4_XS = 23;
const IQ1_M = 29;
const TQ1_0 = 34;
const TQ2_0 = 35;

/** The block at hand: 16 int8 scales and 256 int8 quants; weight i is d * scales[i / 16] * quants[i]. */
export const SCALES = memory.data(16, 16);
export const QUANTS = memory.data(256, 16);

/** Bytes of a block as in the file. */
export function superBlockBytes(type: i32): usize {
  if (type == IQ2_XXS || type == TQ2_0) return 66;
  if (type == IQ2_XS) return 74;
  if (type == IQ3_XXS) return 98;
  if (type == IQ1_S) return 50;
  if (type == IQ3_S) return 110;
  if (type == IQ2_S) return 82;
  if (type == IQ4_XS) return 136;
  if (type == IQ1_M) return 56;
  return 54;
}

/**
 * Unpacks a block to {@link SCALES} and {@link QUANTS}, as the readers of gguf/blocks/ do.
 * @param grid points of an IQ1 to IQ3 type, one after another: four int8 of IQ3 types, eight of the others
 * @returns d
 */
export function unpackSuperBlock(type: i32, block: usize, grid: usize): f32 {
  if (type == IQ4_XS) return unpackIq4(block);
  if (type == TQ1_0 || type == TQ2_0) return type == TQ1_0 ? unpackTernary5(block) : unpackTernary4(block);
  if (type == IQ1_S) return unpackIq1S(block, grid);
  if (type == IQ1_M) return unpackIq1M(block, grid);
  const d = halfToFloat(<u32>load<u16>(block));
  if (type == IQ3_S) {
    unpackIq3S(block, grid);
    return d;
  }
  if (type == IQ3_XXS) {
    unpackIq3Xxs(block, grid);
    return d * 0.25;
  }
  if (type == IQ2_XXS) unpackIq2Xxs(block, grid);
  else if (type == IQ2_XS) unpackIq2Xs(block, grid);
  else unpackIq2S(block, grid);
  return d * 0.125;
}

/** Scales that are odd numbers, 2s + 1, of which s lies in nibbles. */
function nibbleScales(nibbles: usize): void {
  for (let i: usize = 0; i < 8; i++) {
    const pair = load<u8>(nibbles + i);
    store<u8>(SCALES + 2 * i, 2 * (pair & 15) + 1);
    store<u8>(SCALES + 2 * i, 2 * (pair >> 4) + 1, 1);
  }
}

/** One scale for 32 values. */
// @ts-ignore: decorator
@inline
function storeScale(group: usize, scale: u32): void {
  store<u16>(SCALES + 2 * group, <u16>((scale & 255) * 0x101));
}

/** 16 values; each bit of two bytes makes one negative. */
// @ts-ignore: decorator
@inline
function storeSigned(to: usize, values: v128, first: u32, second: u32): void {
  const bits = v128.load(BITS);
  const signs = v128.shuffle<i8>(i8x16.splat(<i8>first), i8x16.splat(<i8>second), 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
  const mask = i8x16.eq(v128.and(signs, bits), bits);
  v128.store(to, i8x16.sub(v128.xor(values, mask), mask));
}

/** Two points of eight values. */
// @ts-ignore: decorator
@inline
function pair(grid: usize, first: u32, second: u32): v128 {
  const low = i64x2.splat(load<i64>(grid + (<usize>first << 3)));
  return i64x2.replace_lane(low, 1, load<i64>(grid + (<usize>second << 3)));
}

/** Four points of four values. */
// @ts-ignore: decorator
@inline
function four(grid: usize, a: u32, b: u32, c: u32, d: u32): v128 {
  let points = i32x4.splat(load<i32>(grid + (<usize>a << 2)));
  points = i32x4.replace_lane(points, 1, load<i32>(grid + (<usize>b << 2)));
  points = i32x4.replace_lane(points, 2, load<i32>(grid + (<usize>c << 2)));
  return i32x4.replace_lane(points, 3, load<i32>(grid + (<usize>d << 2)));
}

/** Signs of eight values in the lowest seven bits: an even number of them is negative. */
// @ts-ignore: decorator
@inline
function evenSigns(word: u32): u32 {
  const seven = word & 127;
  return seven | ((popcnt(seven) & 1) << 7);
}

function unpackIq2Xxs(block: usize, grid: usize): void {
  for (let group: usize = 0; group < 8; group++) {
    const from = block + 2 + 8 * group;
    const word = load<u32>(from, 4);
    storeScale(group, 2 * (word >> 28) + 1);
    const to = QUANTS + 32 * group;
    storeSigned(to, pair(grid, load<u8>(from), load<u8>(from, 1)), evenSigns(word), evenSigns(word >> 7));
    storeSigned(to + 16, pair(grid, load<u8>(from, 2), load<u8>(from, 3)), evenSigns(word >> 14), evenSigns(word >> 21));
  }
}

function unpackIq2Xs(block: usize, grid: usize): void {
  nibbleScales(block + 66);
  for (let i: usize = 0; i < 16; i++) {
    const first: u32 = load<u16>(block + 4 * i, 2);
    const second: u32 = load<u16>(block + 4 * i, 4);
    storeSigned(QUANTS + 16 * i, pair(grid, first & 511, second & 511), evenSigns(first >> 9), evenSigns(second >> 9));
  }
}

function unpackIq2S(block: usize, grid: usize): void {
  nibbleScales(block + 74);
  for (let i: usize = 0; i < 32; i += 2) {
    const high = <u32>load<u8>(block + (i >> 2), 66) >> (2 * (<u32>i & 3));
    const first = <u32>load<u8>(block + i, 2) | ((high & 3) << 8);
    const second = <u32>load<u8>(block + i, 3) | ((high & 12) << 6);
    storeSigned(QUANTS + 8 * i, pair(grid, first, second), load<u8>(block + i, 34), load<u8>(block + i, 35));
  }
}

function unpackIq3Xxs(block: usize, grid: usize): void {
  for (let group: usize = 0; group < 8; group++) {
    const word = load<u32>(block + 4 * group, 66);
    storeScale(group, 2 * (word >> 28) + 1);
    for (let half: usize = 0; half < 2; half++) {
      const from = block + 8 * group + 4 * half;
      const points = four(grid, load<u8>(from, 2), load<u8>(from, 3), load<u8>(from, 4), load<u8>(from, 5));
      const signs = word >> (14 * <u32>half);
      storeSigned(QUANTS + 32 * group + 16 * half, points, evenSigns(signs), evenSigns(signs >> 7));
    }
  }
}

function unpackIq3S(block: usize, grid: usize): void {
  for (let group: usize = 0; group < 8; group++) {
    const scale = <u32>load<u8>(block + (group >> 1), 106) >> (4 * (<u32>group & 1));
    storeScale(group, 2 * (scale & 15) + 1);
  }
  for (let i: usize = 0; i < 64; i += 4) {
    const high = <u32>load<u8>(block + (i >> 3), 66) >> (<u32>i & 7);
    const from = block + i;
    const points = four(
      grid,
      <u32>load<u8>(from, 2) | ((high & 1) << 8),
      <u32>load<u8>(from, 3) | ((high & 2) << 7),
      <u32>load<u8>(from, 4) | ((high & 4) << 6),
      <u32>load<u8>(from, 5) | ((high & 8) << 5),
    );
    storeSigned(QUANTS + 4 * i, points, load<u8>(block + (i >> 1), 74), load<u8>(block + (i >> 1), 75));
  }
}

/** 16 values of two points, each with 1 more or less: less where a bit of `shifts` is set. */
// @ts-ignore: decorator
@inline
function storeShifted(to: usize, values: v128, first: bool, second: bool): void {
  const shifts = i64x2.replace_lane(i64x2.splat(first ? -1 : 0x0101010101010101), 1, second ? -1 : 0x0101010101010101);
  v128.store(to, i8x16.add(values, shifts));
}

function unpackIq1S(block: usize, grid: usize): f32 {
  for (let group: usize = 0; group < 8; group++) {
    const word: u32 = load<u16>(block + 2 * group, 34);
    storeScale(group, 2 * ((word >> 12) & 7) + 1);
    const isLess = (word & 0x8000) != 0;
    for (let half: usize = 0; half < 2; half++) {
      const from = block + 4 * group + 2 * half;
      const high = word >> (6 * <u32>half);
      const first = <u32>load<u8>(from, 2) | ((high & 7) << 8);
      const second = <u32>load<u8>(from, 3) | ((high & 56) << 5);
      storeShifted(QUANTS + 32 * group + 16 * half, pair(grid, first, second), isLess, isLess);
    }
  }
  return halfToFloat(<u32>load<u16>(block)) * 0.125;
}

function unpackIq1M(block: usize, grid: usize): f32 {
  let d: u32 = 0;
  for (let word: usize = 0; word < 4; word++) {
    const scales: u32 = load<u16>(block + 2 * word, 48);
    d |= (scales >> 12) << (4 * <u32>word);
    for (let k: u32 = 0; k < 4; k++) store<u8>(SCALES + 4 * word + k, 2 * ((scales >> (3 * k)) & 7) + 1);
  }
  for (let i: usize = 0; i < 32; i += 2) {
    const high: u32 = load<u8>(block + (i >> 1), 32);
    const first = <u32>load<u8>(block + i) | ((high & 7) << 8);
    const second = <u32>load<u8>(block + i, 1) | ((high & 112) << 4);
    storeShifted(QUANTS + 8 * i, pair(grid, first, second), (high & 8) != 0, (high & 128) != 0);
  }
  return halfToFloat(d) * 0.125;
}

function unpackIq4(block: usize): f32 {
  const high: u32 = load<u16>(block, 2);
  for (let group: usize = 0; group < 8; group++) {
    const low = (<u32>load<u8>(block + (group >> 1), 4) >> (4 * (<u32>group & 1))) & 15;
    storeScale(group, (low | (((high >> (2 * <u32>group)) & 3) << 4)) - 32);
    readNonlinear(block + 16 * group + 8, QUANTS + 32 * group);
  }
  return halfToFloat(<u32>load<u16>(block));
}

function unpackTernary4(block: usize): f32 {
  memory.fill(SCALES, 1, 16);
  for (let i: usize = 0; i < 4; i++) {
    const bytes = v128.load(block + 16 * i);
    // Of 32 bytes the lowest bits are the first 32 values.
    const to = QUANTS + 128 * (i >> 1) + 16 * (i & 1);
    for (let digit = 0; digit < 4; digit++) {
      const value = v128.and(i8x16.shr_u(bytes, 2 * digit), i8x16.splat(3));
      v128.store(to + 32 * <usize>digit, i8x16.sub(value, i8x16.splat(1)));
    }
  }
  return halfToFloat(<u32>load<u16>(block, 64));
}

function unpackTernary5(block: usize): f32 {
  memory.fill(SCALES, 1, 16);
  for (let i: usize = 0; i < 3; i++) {
    let fractions = v128.load(block + 16 * i);
    const to = QUANTS + (i == 2 ? 160 : 16 * i);
    for (let digit: usize = 0; digit < 5; digit++) {
      v128.store(to + digit * (i == 2 ? 16 : 32), digitsOf(fractions));
      fractions = i8x16.add(fractions, i8x16.add(fractions, fractions));
    }
  }
  for (let i: usize = 0; i < 4; i++) {
    let fraction: u32 = load<u8>(block + i, 48);
    for (let digit: usize = 0; digit < 4; digit++) {
      store<u8>(QUANTS + 240 + 4 * digit + i, ((fraction * 3) >> 8) - 1);
      fraction = (fraction * 3) & 255;
    }
  }
  return halfToFloat(<u32>load<u16>(block, 52));
}

/** The digits before the point of three times fractions of 256, less 1. */
// @ts-ignore: decorator
@inline
function digitsOf(fractions: v128): v128 {
  const three = i8x16.splat(3);
  const low = i16x8.shr_u(i16x8.extmul_low_i8x16_u(fractions, three), 8);
  const high = i16x8.shr_u(i16x8.extmul_high_i8x16_u(fractions, three), 8);
  return i8x16.sub(i8x16.narrow_i16x8_u(low, high), i8x16.splat(1));
}
