/*
 * Halves four at a time. The bits are worked on as integers; where floats are, no operand and no result is subnormal, or
 * it makes no difference to the half that comes out. So it does not matter that NEON takes subnormal floats for zero.
 */

/** The float32 of four halves in the low 16 bits of each lane, exactly; subnormals, infinities and NaN included. */
// @ts-ignore: decorator
@inline
export function halvesToFloats(bits: v128): v128 {
  const magnitude = i32x4.shl(v128.and(bits, i32x4.splat(0x7fff)), 13);
  const sign = i32x4.shl(v128.and(bits, i32x4.splat(0x8000)), 16);
  const rebiased = i32x4.add(magnitude, i32x4.splat(112 << 23));
  // Zero and subnormals: as a float of exponent -14 without its leading 1, which is taken off.
  const small = f32x4.sub(i32x4.add(rebiased, i32x4.splat(1 << 23)), f32x4.splat(0.00006103515625));
  const isSmall = i32x4.gt_s(i32x4.splat(0x400 << 13), magnitude);
  // Infinities and NaN keep an exponent of ones.
  const isSpecial = i32x4.gt_s(magnitude, i32x4.splat((0x7c00 << 13) - 1));
  const special = v128.and(isSpecial, i32x4.splat(112 << 23));
  return v128.or(sign, v128.bitselect(small, i32x4.add(rebiased, special), isSmall));
}

/** Four float32 rounded to halves in the low 16 bits of each lane: to nearest, ties to even, as gguf/half.ts does it. */
// @ts-ignore: decorator
@inline
export function floatsToHalves(values: v128): v128 {
  const magnitude = v128.and(values, i32x4.splat(0x7fffffff));
  const sign = v128.and(i32x4.shr_u(values, 16), i32x4.splat(0x8000));
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
  const rounded = i32x4.shr_u(i32x4.add(i32x4.add(magnitude, odd), i32x4.splat(0xfff - (112 << 23))), 13);
  // Below 2^-14 a half counts units of 2^-24, which are the units of floats from 0.5 to 1.
  const small = i32x4.sub(f32x4.add(magnitude, f32x4.splat(0.75)), i32x4.splat(0x3f400000));
  const isSmall = i32x4.gt_s(i32x4.splat(0x38800000), magnitude);
  // 65520 lies half-way between the largest half and 2^16, and ties go to even: infinity.
  const isLarge = i32x4.gt_s(magnitude, i32x4.splat(0x477fefff));
  const isNan = i32x4.gt_s(magnitude, i32x4.splat(0x7f800000));
  const large = v128.or(i32x4.splat(0x7c00), v128.and(isNan, i32x4.splat(0x200)));
  const half = v128.bitselect(large, v128.bitselect(small, rounded, isSmall), isLarge);
  return v128.or(sign, half);
}


/** The float32 of a half's 16 bits. */
// @ts-ignore: decorator
@inline
export function halfToFloat(bits: u32): f32 {
  return f32x4.extract_lane(halvesToFloats(i32x4.splat(bits)), 0);
}

/** A float32 rounded to the 16 bits of a half. */
// @ts-ignore: decorator
@inline
export function floatToHalf(value: f32): u32 {
  return i32x4.extract_lane(floatsToHalves(f32x4.splat(value)), 0);
}

/** `count` halves to float32. */
export function decodeHalves(halves: usize, floats: usize, count: i32): void {
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    v128.store(floats + (<usize>i << 2), halvesToFloats(v128.load_ext<u16>(halves + (<usize>i << 1))));
  }
  for (; i < count; i++) store<f32>(floats + (<usize>i << 2), halfToFloat(<u32>load<u16>(halves + (<usize>i << 1))));
}

/** `count` float32 to halves. */
export function encodeHalves(floats: usize, halves: usize, count: i32): void {
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const bits = floatsToHalves(v128.load(floats + (<usize>i << 2)));
    v128.store64_lane(halves + (<usize>i << 1), i16x8.narrow_i32x4_u(bits, bits), 0);
  }
  for (; i < count; i++) store<u16>(halves + (<usize>i << 1), <u16>floatToHalf(load<f32>(floats + (<usize>i << 2))));
}

/** `count` float32, each rounded to the nearest half; `to` may be `from`. */
export function roundToHalves(from: usize, to: usize, count: i32): void {
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    v128.store(to + (<usize>i << 2), halvesToFloats(floatsToHalves(v128.load(from + (<usize>i << 2)))));
  }
  for (; i < count; i++) {
    store<f32>(to + (<usize>i << 2), halfToFloat(floatToHalf(load<f32>(from + (<usize>i << 2)))));
  }
}

/** `count` float32, each rounded to the nearest bfloat16, ties to even; `to` may be `from`. NaN stay NaN. */
export function roundToBfloats(from: usize, to: usize, count: i32): void {
  const bytes = <usize>count << 2;
  for (let at: usize = 0; at < bytes; at += 4) {
    const bits = load<u32>(from + at);
    const isNan = (bits & 0x7fffffff) > 0x7f800000;
    const rounded = bits + 0x7fff + ((bits >> 16) & 1);
    store<u32>(to + at, (isNan ? bits | 0x400000 : rounded) & 0xffff0000);
  }
}

/** `count` bfloat16 to float32. */
export function decodeBfloats(bfloats: usize, floats: usize, count: i32): void {
  for (let i: usize = 0; i < <usize>count; i++) store<u32>(floats + (i << 2), <u32>load<u16>(bfloats + (i << 1)) << 16);
}
