// How scales are chosen: the searches of ggml's quantisers (ggml-quants.c), each operation rounded to float32 in their order, so
// that the bits are theirs. `quants` are bytes; sums are of at most 32 values.

/** A group whose largest magnitude is below is all zeros (GROUP_MAX_EPS). */
const SMALLEST: f32 = 1e-15;

/** What {@link fitWithOffset} found besides the scale: not negative, subtracted from the values. */
export let fittedOffset: f32 = 0;

// @ts-ignore: decorator
@inline
export function valueAt(values: usize, i: i32): f32 {
  return load<f32>(values + (<usize>i << 2));
}

/** To the nearest integer, halves to even; the low 23 bits of a sum, whatever the value. */
// @ts-ignore: decorator
@inline
export function nearestInteger(value: f32): i32 {
  return (reinterpret<i32>(value + <f32>12582912) & 0x7fffff) - 0x400000;
}

// @ts-ignore: decorator
@inline
export function clamp(value: i32, lowest: i32, highest: i32): i32 {
  return max(lowest, min(highest, value));
}

/** The value of largest magnitude, the first of equals, with its sign; 0 where all are as good as zero. */
function extremeOf(values: usize, count: i32): f32 {
  let extreme: f32 = 0;
  let largest: f32 = 0;
  for (let i = 0; i < count; i++) {
    const value = valueAt(values, i);
    if (abs(value) > largest) {
      largest = abs(value);
      extreme = value;
    }
  }
  return largest < SMALLEST ? 0 : extreme;
}

/**
 * value ~ scale * quant - offset, quant in 0..`levels`: least weighted error over `steps` + 1 widths from `levels` + `first` on.
 *
 * @param trial memory for `count` quants
 * @param absolute whether the error is that of magnitudes, not of squares
 * @returns the scale
 */
export function fitWithOffset(
  values: usize,
  weights: usize,
  count: i32,
  levels: i32,
  quants: usize,
  trial: usize,
  first: f32,
  step: f32,
  steps: i32,
  absolute: bool,
): f32 {
  let low = valueAt(values, 0);
  let high = low;
  let sumW = valueAt(weights, 0);
  let sumX = sumW * low;
  for (let i = 1; i < count; i++) {
    const value = valueAt(values, i);
    if (value < low) low = value;
    if (value > high) high = value;
    const weight = valueAt(weights, i);
    sumW += weight;
    sumX += weight * value;
  }
  if (low > 0) low = 0;
  fittedOffset = -low;
  if (high <= low) {
    memory.fill(quants, 0, count);
    return 0;
  }
  const widest = <f32>levels / (high - low);
  let scale: f32 = <f32>1 / widest;
  roundAbove(values, count, low, widest, levels, quants);
  let bestError = errorOf(values, weights, count, scale, low, quants, absolute);
  for (let i = 0; i <= steps; i++) {
    // From the best lower end so far.
    roundAbove(values, count, low, (first + step * <f32>i + <f32>levels) / (high - low), levels, trial);
    let sumL: f32 = 0;
    let sumLL: f32 = 0;
    let sumXL: f32 = 0;
    for (let k = 0; k < count; k++) {
      const quant = <f32>load<u8>(trial + k);
      const weighted = valueAt(weights, k) * quant;
      sumL += weighted;
      sumLL += weighted * quant;
      sumXL += weighted * valueAt(values, k);
    }
    const determinant = sumW * sumLL - sumL * sumL;
    if (!(determinant > 0)) continue;
    let triedScale = (sumW * sumXL - sumX * sumL) / determinant;
    let triedLow = (sumLL * sumX - sumL * sumXL) / determinant;
    if (triedLow > 0) {
      triedLow = 0;
      triedScale = sumXL / sumLL;
    }
    const error = errorOf(values, weights, count, triedScale, triedLow, trial, absolute);
    if (error < bestError) {
      memory.copy(quants, trial, count);
      bestError = error;
      scale = triedScale;
      low = triedLow;
    }
  }
  fittedOffset = -low;
  return scale;
}

// @ts-ignore: decorator
@inline
function roundAbove(values: usize, count: i32, low: f32, inverse: f32, levels: i32, quants: usize): void {
  for (let i = 0; i < count; i++)
    store<u8>(quants + i, clamp(nearestInteger(inverse * (valueAt(values, i) - low)), 0, levels));
}

// @ts-ignore: decorator
@inline
function errorOf(values: usize, weights: usize, count: i32, scale: f32, low: f32, quants: usize, absolute: bool): f32 {
  let error: f32 = 0;
  for (let i = 0; i < count; i++) {
    const difference = scale * <f32>load<u8>(quants + i) + low - valueAt(values, i);
    error += valueAt(weights, i) * (absolute ? abs(difference) : difference * difference);
  }
  return error;
}

/** Sums of {@link fitSymmetric}: weight * value * quant, and weight * quant². */
let sumXL: f32 = 0;
let sumLL: f32 = 0;

/**
 * value ~ scale * quant, quant in -`half`..`half` - 1, stored from 0 on: the best of 19 widths.
 *
 * @param weights 0: squares of the values
 * @returns the scale
 */
export function fitSymmetric(values: usize, weights: usize, count: i32, half: i32, quants: usize): f32 {
  const extreme = extremeOf(values, count);
  if (extreme == 0) {
    memory.fill(quants, 0, count);
    return 0;
  }
  let inverse = <f32>-half / extreme;
  sumProducts(values, weights, count, half, inverse);
  roundAround(values, count, half, inverse, quants);
  let scale: f32 = sumLL != 0 ? sumXL / sumLL : 0;
  let best = scale * sumXL;
  for (let i = -9; i <= 9; i++) {
    if (i == 0) continue;
    inverse = -(<f32>half + <f32>0.1 * <f32>i) / extreme;
    sumProducts(values, weights, count, half, inverse);
    if (sumLL > 0 && sumXL * sumXL > best * sumLL) {
      roundAround(values, count, half, inverse, quants);
      scale = sumXL / sumLL;
      best = scale * sumXL;
    }
  }
  return scale;
}

function sumProducts(values: usize, weights: usize, count: i32, half: i32, inverse: f32): void {
  let products: f32 = 0;
  let squares: f32 = 0;
  for (let i = 0; i < count; i++) {
    const value = valueAt(values, i);
    const quant = <f32>clamp(nearestInteger(inverse * value), -half, half - 1);
    const weight = weights != 0 ? valueAt(weights, i) : value * value;
    products += weight * value * quant;
    squares += weight * quant * quant;
  }
  sumXL = products;
  sumLL = squares;
}

function roundAround(values: usize, count: i32, half: i32, inverse: f32, quants: usize): void {
  for (let i = 0; i < count; i++)
    store<u8>(quants + i, half + clamp(nearestInteger(inverse * valueAt(values, i)), -half, half - 1));
}

/** As {@link fitSymmetric}, weighted by squares, but quant after quant is moved where that is better, in five rounds. */
export function fitByTurns(values: usize, count: i32, half: i32, quants: usize): f32 {
  const extreme = extremeOf(values, count);
  if (extreme == 0) {
    memory.fill(quants, 0, count);
    return 0;
  }
  const inverse = <f32>-half / extreme;
  let products: f32 = 0;
  let squares: f32 = 0;
  for (let i = 0; i < count; i++) {
    const value = valueAt(values, i);
    const quant = clamp(nearestInteger(inverse * value), -half, half - 1);
    store<i8>(quants + i, <i8>quant);
    const weight = value * value;
    products += weight * value * <f32>quant;
    squares += weight * <f32>quant * <f32>quant;
  }
  for (let round = 0; round < 5; round++) {
    let changed = false;
    for (let i = 0; i < count; i++) {
      const value = valueAt(values, i);
      const weight = value * value;
      const quant = <i32>load<i8>(quants + i);
      let others = products - weight * value * <f32>quant;
      if (!(others > 0)) continue;
      let otherSquares = squares - weight * <f32>quant * <f32>quant;
      const better = clamp(nearestInteger(value * otherSquares / others), -half, half - 1);
      if (better == quant) continue;
      others += weight * value * <f32>better;
      otherSquares += weight * <f32>better * <f32>better;
      if (otherSquares > 0 && others * others * squares > products * products * otherSquares) {
        store<i8>(quants + i, <i8>better);
        products = others;
        squares = otherSquares;
        changed = true;
      }
    }
    if (!changed) break;
  }
  for (let i = 0; i < count; i++) store<u8>(quants + i, load<i8>(quants + i) + half);
  return squares > 0 ? products / squares : 0;
}

/** Scales of groups, none negative, ~ unit * quant, quant in 0..`levels`: the best of nine widths, then turns. @returns the unit */
export function fitScales(values: usize, weights: usize, count: i32, levels: i32, quants: usize): f32 {
  let high: f32 = 0;
  for (let i = 0; i < count; i++) if (valueAt(values, i) > high) high = valueAt(values, i);
  if (high < SMALLEST) {
    memory.fill(quants, 0, count);
    return 0;
  }
  let inverse = <f32>levels / high;
  // The first width is not held to the levels: it cannot pass them by more than rounding.
  let least = squaredError(values, weights, count, inverse, i32.MAX_VALUE);
  for (let i = -4; i <= 4; i++) {
    if (i == 0) continue;
    const tried = (<f32>0.1 * <f32>i + <f32>levels) / high;
    const error = squaredError(values, weights, count, tried, levels);
    if (error < least) {
      least = error;
      inverse = tried;
    }
  }
  let products: f32 = 0;
  let squares: f32 = 0;
  for (let i = 0; i < count; i++) {
    const quant = min(levels, nearestInteger(inverse * valueAt(values, i)));
    store<u8>(quants + i, quant);
    products += valueAt(weights, i) * valueAt(values, i) * <f32>quant;
    squares += valueAt(weights, i) * <f32>quant * <f32>quant;
  }
  for (let round = 0; round < 5; round++) {
    let changed = false;
    for (let i = 0; i < count; i++) {
      const value = valueAt(values, i);
      const weight = valueAt(weights, i);
      const quant = <i32>load<u8>(quants + i);
      let others = products - weight * value * <f32>quant;
      let otherSquares = squares - weight * <f32>quant * <f32>quant;
      if (!(others > 0 && otherSquares > 0)) continue;
      const better = min(levels, nearestInteger(value * otherSquares / others));
      if (better == quant) continue;
      others += weight * value * <f32>better;
      otherSquares += weight * <f32>better * <f32>better;
      if (others * others * squares > products * products * otherSquares) {
        store<u8>(quants + i, better);
        products = others;
        squares = otherSquares;
        changed = true;
      }
    }
    if (!changed) break;
  }
  return squares > 0 ? products / squares : 0;
}

function squaredError(values: usize, weights: usize, count: i32, inverse: f32, levels: i32): f32 {
  const unit: f32 = <f32>1 / inverse;
  let error: f32 = 0;
  for (let i = 0; i < count; i++) {
    const difference = valueAt(values, i) - unit * <f32>min(levels, nearestInteger(inverse * valueAt(values, i)));
    error += valueAt(weights, i) * difference * difference;
  }
  return error;
}
