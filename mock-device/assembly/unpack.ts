// What GGUF's K-quant blocks hold beside weights (planes.ts). Bit positions: the manual, "Block layouts". `type` is a constant at every
// call, so each call folds to a few instructions.

export const Q2_K: i32 = 2;
export const Q3_K: i32 = 3;
export const Q4_K: i32 = 4;
export const Q5_K: i32 = 5;
export const Q6_K: i32 = 6;

/** Bytes of a block in a lane's stream: whole words. */
@inline
export function blockBytes(type: i32): usize {
  if (type == Q2_K) return 84;
  if (type == Q3_K) return 112;
  if (type == Q4_K) return 144;
  if (type == Q5_K) return 176;
  return 212;
}

/**
 * `count` bits of each byte, from bit `from` to bit `to`. Shifts of whole 16-bit lanes move bits into the neighbour
 * byte too: the mask takes them away.
 */
@inline
export function bits(bytes: v128, from: i32, to: i32, count: i32): v128 {
  const ones: i32 = ((1 << count) - 1) << to;
  const mask = i8x16.splat(<i8>ones);
  if (from > to) return v128.and(i16x8.shr_u(bytes, from - to), mask);
  if (from < to) return v128.and(i16x8.shl(bytes, to - from), mask);
  return v128.and(bytes, mask);
}

/** The 16 scales of Q2_K, Q3_K or Q6_K as signed bytes. */
@inline
export function groupScales(type: i32, block: usize): v128 {
  if (type == Q2_K) return v128.and(v128.load(block), i8x16.splat(15));
  if (type == Q6_K) return v128.load(block, 192);
  // Low nibbles of 8 bytes, then their high ones; above them two bits of 4 bytes, from bit 0, 2, 4 and 6.
  const bytes = v128.load64_splat(block, 96);
  const low = bits(i64x2.shuffle(bytes, i16x8.shr_u(bytes, 4), 0, 2), 0, 0, 4);
  const twos = i16x8.mul(v128.load32_splat(block, 104), i16x8(64, 64, 16, 16, 4, 4, 1, 1));
  const high = i16x8.shr_u(v128.and(twos, i8x16.splat(<i8>0xc0)), 2);
  return i8x16.sub(v128.or(low, high), i8x16.splat(32));
}

/** The 8 scales of Q4_K or Q5_K as int16, one for 32 weights. */
@inline
export function blockScales(block: usize): v128 {
  const first = load<u32>(block, 4);
  const last = load<u32>(block, 12);
  const low = first & 0x3f3f3f3f;
  const high = (last & 0x0f0f0f0f) | ((first >> 2) & 0x30303030);
  return widen(low, high);
}

/** The 8 minima of Q4_K or Q5_K as int16, one for 32 weights. */
@inline
export function blockMinima(block: usize): v128 {
  const middle = load<u32>(block, 8);
  const last = load<u32>(block, 12);
  const low = middle & 0x3f3f3f3f;
  const high = ((last >> 4) & 0x0f0f0f0f) | ((middle >> 2) & 0x30303030);
  return widen(low, high);
}

/** d, and dmin above it where the type has one, as they lie in the block. */
@inline
export function bothHalves(type: i32, block: usize): u32 {
  if (type == Q2_K) return load<u32>(block, 80);
  if (type == Q3_K) return load<u16>(block, 108);
  if (type == Q6_K) return load<u16>(block, 208);
  return load<u32>(block);
}

/**
 * Four IEEE halves, the low bits of 32, to floats, exact. Subnormal halves, which small tensors do have, go through an integer:
 * as subnormal floats they would cost x86 more than the whole block.
 */
@inline
export function halves(bits: v128): v128 {
  const magnitude = v128.and(bits, i32x4.splat(0x7fff));
  const sign = i32x4.shl(v128.xor(bits, magnitude), 16);
  const bias = v128.and(i32x4.gt_s(magnitude, i32x4.splat(0x7bff)), i32x4.splat(0x38000000));
  const normal = i32x4.add(i32x4.add(i32x4.shl(magnitude, 13), i32x4.splat(0x38000000)), bias);
  const small = f32x4.mul(f32x4.convert_i32x4_s(magnitude), f32x4.splat(reinterpret<f32>(0x33800000))); // times 2^-24
  return v128.or(sign, v128.bitselect(small, normal, i32x4.lt_s(magnitude, i32x4.splat(0x0400))));
}

@inline
function widen(low: u32, high: u32): v128 {
  return i16x8.extend_low_i8x16_u(i64x2.splat(<i64>(<u64>low | (<u64>high << 32))));
}
