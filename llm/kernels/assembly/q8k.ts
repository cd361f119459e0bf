const SUPER_BLOCK: usize = 256;
const BLOCK_BYTES: usize = 292;
const QUANTS_AT: usize = 4;
const SUMS_AT: usize = QUANTS_AT + SUPER_BLOCK;

/** 1.5 * 2^23: adding it in float32 leaves an integer, rounded to nearest, ties to even. */
const ROUND: f32 = 12582912;

/** 2^-110. */
const LEAST: u32 = 17 << 23;
const INFINITY: u32 = 0x7f800000;

/**
 * Quantises activations to Q8_K, to the bits of gguf/q8k.ts.
 *
 * Super-blocks whose largest magnitude is at least 2^-110 and finite take float32 SIMD, though NEON takes subnormals
 * for zero: 127 / 2^-110 times anything below 2^-126 is less than 2^-9 and becomes the quant 0 either way.
 *
 * @param values `count` float32, `count` a multiple of 256
 * @param blocks receives count / 256 * 292 bytes
 */
export function quantizeQ8K(values: usize, count: i32, blocks: usize): void {
  for (const end = values + (<usize>count << 2); values < end; values += SUPER_BLOCK << 2) {
    const magnitude = largestMagnitude(values);
    if (magnitude >= LEAST && magnitude < INFINITY) quantizeOrdinary(values, magnitude, blocks);
    else quantizeAny(values, blocks);
    blocks += BLOCK_BYTES;
  }
}

/**
 * Columns whose last super-block is not whole: as if zeros came after their values, which have the quant 0 and no part in the
 * largest magnitude.
 *
 * @param values `n` columns of `length` float32, one after another
 * @param tail 256 float32 of scratch
 * @param blocks receives ceil(length / 256) * 292 bytes a column
 */
export function quantizeColumns(values: usize, length: i32, n: i32, tail: usize, blocks: usize): void {
  const whole = length & ~255;
  const left = <usize>(length - whole) << 2;
  memory.fill(tail + left, 0, (SUPER_BLOCK << 2) - left);
  for (; n > 0; n--) {
    quantizeQ8K(values, whole, blocks);
    values += <usize>whole << 2;
    blocks += <usize>(whole >> 8) * BLOCK_BYTES;
    memory.copy(tail, values, left);
    quantizeQ8K(tail, <i32>SUPER_BLOCK, blocks);
    values += left;
    blocks += BLOCK_BYTES;
  }
}

/** The bits of the largest magnitude, which are in the order of magnitudes; above those of infinity where there is a NaN. */
// @ts-ignore: decorator
@inline
function largestMagnitude(values: usize): u32 {
  const withoutSign = i32x4.splat(0x7fffffff);
  let a = i32x4.splat(0);
  let b = i32x4.splat(0);
  for (const end = values + (SUPER_BLOCK << 2); values < end; values += 64) {
    a = i32x4.max_s(a, v128.and(v128.load(values), withoutSign));
    b = i32x4.max_s(b, v128.and(v128.load(values, 16), withoutSign));
    a = i32x4.max_s(a, v128.and(v128.load(values, 32), withoutSign));
    b = i32x4.max_s(b, v128.and(v128.load(values, 48), withoutSign));
  }
  a = i32x4.max_s(a, b);
  return max<u32>(
    max<u32>(i32x4.extract_lane(a, 0), i32x4.extract_lane(a, 1)),
    max<u32>(i32x4.extract_lane(a, 2), i32x4.extract_lane(a, 3)),
  );
}

function quantizeOrdinary(values: usize, magnitude: u32, block: usize): void {
  // The first value of that magnitude decides the sign.
  let first = values;
  while ((load<u32>(first) & 0x7fffffff) != magnitude) first += 4;
  const inverse: f32 = -127 / load<f32>(first);
  store<f32>(block, 1 / inverse);
  const scale = f32x4.splat(inverse);
  for (let group: usize = 0; group < SUPER_BLOCK / 16; group++) {
    const a = toInts(v128.load(values), scale);
    const b = toInts(v128.load(values, 16), scale);
    const c = toInts(v128.load(values, 32), scale);
    const d = toInts(v128.load(values, 48), scale);
    const halves = i16x8.add(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
    const sums = i32x4.extadd_pairwise_i16x8_s(halves);
    const quants = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
    v128.store(block + (group << 4), quants, QUANTS_AT);
    const sum =
      i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1) + i32x4.extract_lane(sums, 2) + i32x4.extract_lane(sums, 3);
    store<i16>(block + (group << 1), sum, SUMS_AT);
    values += 64;
  }
}

/** At most 127 in magnitude, so that the bits of the float after rounding are those of ROUND and the integer's. */
// @ts-ignore: decorator
@inline
function toInts(values: v128, scale: v128): v128 {
  return i32x4.sub(f32x4.add(f32x4.mul(values, scale), f32x4.splat(ROUND)), i32x4.splat(reinterpret<i32>(ROUND)));
}

/** Whatever there is: NaN becomes the quant 0, an infinity makes the scale infinite. */
function quantizeAny(values: usize, block: usize): void {
  let largest: f32 = 0;
  let magnitude: f32 = 0;
  for (let at: usize = 0; at < SUPER_BLOCK << 2; at += 4) {
    const value = load<f32>(values + at);
    if (abs<f32>(value) > magnitude) {
      magnitude = abs<f32>(value);
      largest = value;
    }
  }
  if (magnitude == 0) {
    memory.fill(block, 0, BLOCK_BYTES);
    return;
  }
  const inverse: f32 = -127 / largest;
  store<f32>(block, 1 / inverse);
  for (let group: usize = 0; group < SUPER_BLOCK / 16; group++) {
    let sum = 0;
    for (let i: usize = 0; i < 16; i++) {
      const rounded = load<f32>(values + (i << 2)) * inverse + ROUND - ROUND;
      // Beyond 127 only where the scale is no number that counts: an infinity or NaN.
      const quant = abs<f32>(rounded) <= 127 ? <i32>rounded : 0;
      store<i8>(block + (group << 4) + i, quant, QUANTS_AT);
      sum += quant;
    }
    store<i16>(block + (group << 1), sum, SUMS_AT);
    values += 64;
  }
}
