/** 2^112: from a half's exponent bias, 15, to float32's, 127. */
const REBIAS: f32 = 5192296858534827628530496329220096.0;

/** The float32 of a half's 16 bits, exactly; subnormals, infinities and NaN included. */
// @ts-ignore: decorator
@inline
export function halfToFloat(bits: u32): f32 {
  const magnitude = (bits & 0x7fff) << 13;
  const scaled = reinterpret<u32>(reinterpret<f32>(magnitude) * REBIAS);
  const special = magnitude | 0x7f800000;
  return reinterpret<f32>((magnitude >= 0x7c00 << 13 ? special : scaled) | ((bits & 0x8000) << 16));
}

/** A float32 rounded to the 16 bits of a half: to nearest, ties to even, as gguf/half.ts does it. */
// @ts-ignore: decorator
@inline
export function floatToHalf(value: f32): u32 {
  const bits = reinterpret<u32>(value);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65520 lies half-way between the largest half and 2^16, and ties go to even: infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  // Below 2^-14 a half counts units of 2^-24.
  if (magnitude < 0x38800000) return sign | u32(nearest<f32>(abs<f32>(value) * 16777216.0));
  return sign | ((magnitude + 0xfff + ((magnitude >>> 13) & 1) - (112 << 23)) >>> 13);
}
