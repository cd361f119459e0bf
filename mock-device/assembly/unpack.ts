// Weights and scales out of GGUF's K-quant blocks, 16 weights at a time as bytes. Bit positions: the manual, "Block layouts".
// `type` and `plane` are constants at every call, so each call folds to a few instructions.

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
 * A block's 256 weights are taken in 8 planes of 32, each in two vectors of 16 bytes. Where a plane's low bits begin:
 * 2 bits a weight for Q2_K and Q3_K, 4 for the others.
 */
@inline
function lowBits(type: i32, plane: i32): usize {
  if (type == Q2_K) return 16 + 32 * (plane >> 2);
  if (type == Q3_K) return 32 + 32 * (plane >> 2);
  if (type == Q4_K) return 16 + 32 * (plane >> 1);
  if (type == Q5_K) return 48 + 32 * (plane >> 1);
  return 64 * (plane >> 2) + 32 * (plane & 1);
}

/** The vector that has a high bit of each of a column of weights, one a plane: Q3_K and Q5_K. */
@inline
export function highBits(type: i32, w: usize, second: usize): v128 {
  if (type == Q3_K) return v128.load(w + second);
  if (type == Q5_K) return v128.load(w + second, 16);
  return i64x2.splat(0);
}

/**
 * 16 weights of a plane as unsigned bytes, before the constant offset of Q3_K and Q6_K.
 * @param w the block
 * @param second 0 or 16: first or second vector of the plane
 * @param high `highBits` of the same vector
 */
@inline
export function weights(type: i32, plane: i32, w: usize, second: usize, high: v128): v128 {
  const low = v128.load(w + second + lowBits(type, plane));
  if (type == Q2_K) return bits(low, 2 * (plane & 3), 0, 2);
  if (type == Q4_K) return bits(low, 4 * (plane & 1), 0, 4);
  if (type == Q3_K) return v128.or(bits(low, 2 * (plane & 3), 0, 2), bits(high, plane, 2, 1));
  if (type == Q5_K) return v128.or(bits(low, 4 * (plane & 1), 0, 4), bits(high, plane, 4, 1));
  const two = v128.load(w + second + 128 + 32 * (plane >> 2));
  return v128.or(bits(low, 4 * ((plane >> 1) & 1), 0, 4), bits(two, 2 * (plane & 3), 4, 2));
}

/**
 * `count` bits of each byte, from bit `from` to bit `to`. Shifts of whole 16-bit lanes move bits into the neighbour
 * byte too: the mask takes them away.
 */
@inline
function bits(bytes: v128, from: i32, to: i32, count: i32): v128 {
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
  const low = load<u64>(block, 96);
  const high = load<u32>(block, 104);
  const first = (low & 0x0f0f0f0f0f0f0f0f) | (twoBitsOfEach(high, 0) << 4);
  const second = ((low >> 4) & 0x0f0f0f0f0f0f0f0f) | (twoBitsOfEach(high, 4) << 4);
  return i8x16.sub(i64x2.replace_lane(i64x2.splat(first), 1, second), i8x16.splat(32));
}

/** Bits `from`, `from`+1 of four bytes, then bits `from`+2, `from`+3, as eight bytes. */
@inline
function twoBitsOfEach(bytes: u32, from: u32): u64 {
  return <u64>((bytes >> from) & 0x03030303) | (<u64>((bytes >> (from + 2)) & 0x03030303) << 32);
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

/**
 * IEEE half to float, exact. Subnormal halves, which small tensors do have, go through an integer: as subnormal
 * floats they would cost x86 more than the whole block.
 */
@inline
export function half(block: usize, offset: usize): f32 {
  const bits = <u32>load<u16>(block + offset);
  const sign = (bits & 0x8000) << 16;
  const exponent = bits & 0x7c00;
  if (exponent == 0) {
    const magnitude = <f32>(bits & 0x03ff) * reinterpret<f32>(0x33800000); // times 2^-24
    return reinterpret<f32>(sign | reinterpret<u32>(magnitude));
  }
  const bias: u32 = exponent == 0x7c00 ? 0x70000000 : 0x38000000; // 224 or 112 in the exponent's place
  return reinterpret<f32>(sign | (((bits & 0x7fff) << 13) + bias));
}

@inline
function widen(low: u32, high: u32): v128 {
  return i16x8.extend_low_i8x16_u(i64x2.splat(<i64>(<u64>low | (<u64>high << 32))));
}
