import { floatToHalf, halfToFloat } from '../../../gguf/assembly/half';
import { readNonlinear, readSmallBlock, smallOffset, smallScale } from './small-block';

/*
 * Rows of other types as Q6_K, which the core multiplies: 16 groups of 16 quants from -32 to 31, an int8 scale for each group and a
 * half for all (block_q6_K of ggml).
 *
 * Float SIMD takes subnormal numbers for zero on armv7. Magnitudes are looked at as integers, and whatever is below 2^-100 counts as
 * zero before a scale could depend on it.
 */
const BLOCK_BYTES: usize = 210;
const IQ4_XS_BYTES: usize = 136;
const HIGH_AT: usize = 128;
const SCALES_AT: usize = 192;
const D_AT: usize = 208;

/** Quants of a block, then 16 words of its groups. */
const GROUPS_AT: usize = 256;

/** 1.5 * 2^23: adding it in float32 leaves an integer, rounded to nearest, ties to even. */
const ROUND: f32 = 12582912;
/** As bits: 2^-40, below which a half has no unit left, and 2^-100. */
const LEAST: u32 = 87 << 23;
const LEAST_OF_GROUP: u32 = 27 << 23;
const INFINITY: u32 = 0x7f800000;
const NAN_HALF: u16 = 0x7e00;
const LARGEST_HALF: f32 = 65504;
/** The largest scale goes to one of these: of so many the one is taken that rounds all scales best. */
const MOST_SCALE = 127;
const LEAST_SCALE = 112;
/** The largest quant that is used, on both sides. */
const MOST_QUANT: f32 = 31;

/**
 * A row of blocks of 32 without offsets (Q4_0, Q5_0, MXFP4): the same integers; a block's scale becomes two groups' scales, rounded.
 *
 * @param count blocks of 32 in the row; those that are missing to whole super-blocks become zeros
 * @param blocks super-blocks to make
 * @param out receives 210 bytes for each
 * @param scratch 320 bytes
 */
export function coreRowOfSmall(type: i32, row: usize, count: i32, blocks: i32, out: usize, scratch: usize): void {
  const scales = scratch + GROUPS_AT;
  for (; blocks > 0; blocks--) {
    for (let i: usize = 0; i < 8; i++) {
      if (count-- > 0) {
        row = readSmallBlock(type, row, scratch + (i << 5));
        store<f32>(scales + (i << 2), smallScale);
      } else {
        memory.fill(scratch + (i << 5), 0, 32);
        store<f32>(scales + (i << 2), 0);
      }
    }
    encodeIntegers(scratch, out);
    out += BLOCK_BYTES;
  }
}

function encodeIntegers(quants: usize, out: usize): void {
  const low = v128.load(quants, GROUPS_AT);
  const high = v128.load(quants, GROUPS_AT + 16);
  const most = reinterpret<f32>(max<u32>(largestOf(low), largestOf(high)));
  if (reinterpret<u32>(most) < LEAST) return fillBlock(out, 0);
  if (!(most < LARGEST_HALF * <f32>MOST_SCALE)) return fillBlock(out, NAN_HALF);
  let half: u32 = 0;
  let least: f32 = Infinity;
  for (let scale = MOST_SCALE; scale >= LEAST_SCALE; scale--) {
    let bits = floatToHalf(most / <f32>scale);
    if (halfToFloat(bits) * (<f32>MOST_SCALE + 0.5) < most) bits++;
    const d = halfToFloat(bits);
    const inverse = f32x4.splat(1 / d);
    const a = roundingError(low, inverse);
    const b = roundingError(high, inverse);
    const sums = f32x4.add(f32x4.mul(a, a), f32x4.mul(b, b));
    const sum =
      f32x4.extract_lane(sums, 0) + f32x4.extract_lane(sums, 1) + (f32x4.extract_lane(sums, 2) + f32x4.extract_lane(sums, 3));
    const error = sum * d * d;
    if (error < least) {
      least = error;
      half = bits;
    }
  }
  const inverse: f32 = 1 / halfToFloat(half);
  for (let i: usize = 0; i < 8; i++) {
    const scale = min<i32>(<i32>(load<f32>(quants + (i << 2), GROUPS_AT) * inverse + ROUND - ROUND), MOST_SCALE);
    store<i8>(out + (i << 1), scale, SCALES_AT);
    store<i8>(out + (i << 1), scale, SCALES_AT + 1);
  }
  store<u16>(out, <u16>half, D_AT);
  packQuants(quants, out);
}

// @ts-ignore: decorator
@inline
function roundingError(scales: v128, inverse: v128): v128 {
  const scaled = f32x4.mul(scales, inverse);
  return f32x4.sub(scaled, f32x4.sub(f32x4.add(scaled, f32x4.splat(ROUND)), f32x4.splat(ROUND)));
}

/**
 * A row of IQ4_XS in two parts, exactly: quants of eight bits are four times one of six bits, and two bits more; scales of six bits,
 * less 32, are scales of eight when they are taken four times.
 *
 * @param out receives 210 bytes a block, all blocks of the first part before those of the second
 * @param scratch 256 bytes
 */
export function coreRowOfIq4Xs(row: usize, blocks: i32, out: usize, scratch: usize): void {
  const second = out + <usize>blocks * BLOCK_BYTES;
  for (let part: usize = 0; part < 2; part++) {
    let from = row;
    let to = part == 0 ? out : second;
    for (let block = 0; block < blocks; block++) {
      const high = <i32>load<u16>(from, 2);
      for (let group: usize = 0; group < 8; group++) {
        const low = <i32>load<u8>(from + (group >> 1), 4) >> (<i32>(group & 1) << 2);
        const scale = ((low & 15) | (((high >> (<i32>group << 1)) & 3) << 4)) - 32;
        const scales = part == 0 ? scale << 2 : scale;
        store<i8>(to + (group << 1), scales, SCALES_AT);
        store<i8>(to + (group << 1), scales, SCALES_AT + 1);
        const quants = scratch + (group << 5);
        readNonlinear(from + 8 + (group << 4), quants);
        v128.store(quants, partOf(v128.load(quants), part));
        v128.store(quants, partOf(v128.load(quants, 16), part), 16);
      }
      store<u16>(to, load<u16>(from), D_AT);
      packQuants(scratch, to);
      from += IQ4_XS_BYTES;
      to += BLOCK_BYTES;
    }
  }
}

// @ts-ignore: decorator
@inline
function partOf(quants: v128, part: usize): v128 {
  return part == 0 ? i8x16.shr_s(quants, 2) : v128.and(quants, i8x16.splat(3));
}

/**
 * A row of floats: each to the nearest quant; with two parts the second holds what the first left out, with scales of its own.
 *
 * @param values `blocks` * 256 float32, which are overwritten
 * @param parts 1 or 2
 * @param out receives 210 bytes a block, all blocks of the first part before those of the second
 * @param scratch 320 bytes
 */
export function coreRowOfFloats(values: usize, blocks: i32, parts: i32, out: usize, scratch: usize): void {
  for (; parts > 0; parts--) {
    for (let block: usize = 0; block < <usize>blocks; block++) {
      encodeFloats(values + (block << 10), out, scratch);
      out += BLOCK_BYTES;
    }
  }
}

/** Leaves in `values` what the block does not hold of them. */
function encodeFloats(values: usize, out: usize, quants: usize): void {
  let most: u32 = 0;
  for (let group: usize = 0; group < 16; group++) {
    const magnitude = magnitudeOf16(values + (group << 6));
    store<u32>(quants + (group << 2), magnitude, GROUPS_AT);
    most = max<u32>(most, magnitude);
  }
  if (most < LEAST) return fillBlock(out, 0);
  const unit = reinterpret<f32>(most) / (MOST_QUANT * <f32>MOST_SCALE);
  if (most >= INFINITY || unit > LARGEST_HALF) return fillBlock(out, NAN_HALF);
  // Rounded up, so that no quant is above the largest.
  let half = floatToHalf(unit);
  if (halfToFloat(half) < unit) half++;
  const d = halfToFloat(half);
  for (let group: usize = 0; group < 16; group++) {
    const magnitude = load<u32>(quants + (group << 2), GROUPS_AT);
    const scale = magnitude < LEAST_OF_GROUP ? 0 : min<i32>(wholeUp(reinterpret<f32>(magnitude) / (MOST_QUANT * d)), MOST_SCALE);
    store<i8>(out + group, scale, SCALES_AT);
    encodeGroup(values + (group << 6), d * <f32>scale, quants + (group << 4));
  }
  store<u16>(out, <u16>half, D_AT);
  packQuants(quants, out);
}

/** 16 values to the nearest multiples of `step`, of which they keep the rest. */
// @ts-ignore: decorator
@inline
function encodeGroup(values: usize, step: f32, quants: usize): void {
  const inverse = f32x4.splat(step == 0 ? 0 : 1 / step);
  const steps = f32x4.splat(step);
  const a = encodeFour(values, inverse, steps);
  const b = encodeFour(values + 16, inverse, steps);
  const c = encodeFour(values + 32, inverse, steps);
  const d = encodeFour(values + 48, inverse, steps);
  v128.store(quants, i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)));
}

// @ts-ignore: decorator
@inline
function encodeFour(values: usize, inverse: v128, step: v128): v128 {
  const value = v128.load(values);
  const rounded = f32x4.add(f32x4.mul(value, inverse), f32x4.splat(ROUND));
  // A quant of 6 bits times 11 bits of the half times 7 of the scale: the product is exact.
  v128.store(values, f32x4.sub(value, f32x4.mul(f32x4.sub(rounded, f32x4.splat(ROUND)), step)));
  return i32x4.sub(rounded, i32x4.splat(reinterpret<i32>(ROUND)));
}

/** The least whole number that is not below. */
// @ts-ignore: decorator
@inline
function wholeUp(value: f32): i32 {
  const whole = <i32>value;
  return <f32>whole < value ? whole + 1 : whole;
}

/** The bits of the largest magnitude of 16 floats: bits of magnitudes are in their order, NaN above infinity. */
// @ts-ignore: decorator
@inline
function magnitudeOf16(values: usize): u32 {
  const withoutSign = i32x4.splat(0x7fffffff);
  const a = i32x4.max_s(v128.and(v128.load(values), withoutSign), v128.and(v128.load(values, 16), withoutSign));
  const b = i32x4.max_s(v128.and(v128.load(values, 32), withoutSign), v128.and(v128.load(values, 48), withoutSign));
  return largestOf(i32x4.max_s(a, b));
}

// @ts-ignore: decorator
@inline
function largestOf(floats: v128): u32 {
  const magnitudes = v128.and(floats, i32x4.splat(0x7fffffff));
  return max<u32>(
    max<u32>(i32x4.extract_lane(magnitudes, 0), i32x4.extract_lane(magnitudes, 1)),
    max<u32>(i32x4.extract_lane(magnitudes, 2), i32x4.extract_lane(magnitudes, 3)),
  );
}

/** All zeros, or where there is a NaN, an infinity or what no half can scale, a block whose products are NaN. */
function fillBlock(out: usize, d: u16): void {
  memory.fill(out, 0, D_AT);
  store<u16>(out, d, D_AT);
}

/** 256 int8 as six bits plus 32. In each half of 128 a byte of low nibbles has two that are 64 apart, one of pairs four 32 apart. */
function packQuants(quants: usize, out: usize): void {
  for (let half: usize = 0; half < 2; half++) {
    const from = quants + (half << 7);
    const low = out + (half << 6);
    const high = out + HIGH_AT + (half << 5);
    for (let j: usize = 0; j < 64; j += 16) {
      const nibbles = v128.and(shifted(from + j), i8x16.splat(15));
      v128.store(low + j, v128.or(nibbles, i8x16.shl(shifted(from + j + 64), 4)));
    }
    for (let j: usize = 0; j < 32; j += 16) {
      const at = from + j;
      const first = v128.or(highBits(at), i8x16.shl(highBits(at + 32), 2));
      const second = v128.or(i8x16.shl(highBits(at + 64), 4), i8x16.shl(highBits(at + 96), 6));
      v128.store(high + j, v128.or(first, second));
    }
  }
}

// @ts-ignore: decorator
@inline
function shifted(quants: usize): v128 {
  return i8x16.add(v128.load(quants), i8x16.splat(32));
}

// @ts-ignore: decorator
@inline
function highBits(quants: usize): v128 {
  return i8x16.shr_u(shifted(quants), 4);
}

/** A row of `count` blocks of 32 as float32: d * quant, and m added. Of types whose d is a half: MXFP4's may be subnormal. */
export function decodeSmall(type: i32, row: usize, count: i32, floats: usize, scratch: usize): void {
  for (; count > 0; count--) {
    row = readSmallBlock(type, row, scratch);
    const d = f32x4.splat(smallScale);
    const m = f32x4.splat(smallOffset);
    for (let i: usize = 0; i < 32; i += 8) {
      const ints = v128.load_ext<i8>(scratch + i);
      const low = f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(ints)), d);
      const high = f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(ints)), d);
      v128.store(floats, f32x4.add(low, m));
      v128.store(floats, f32x4.add(high, m), 16);
      floats += 32;
    }
  }
}
