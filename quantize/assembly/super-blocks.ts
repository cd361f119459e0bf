import { floatToHalf, halfToFloat } from '../../gguf/assembly/half';
import { clamp, fitByTurns, fitScales, fitSymmetric, fittedOffset, fitWithOffset, nearestInteger, valueAt } from './fit';

// K-quant blocks of 256 values, as ggml's quantisers fill them. `importance` is 0 or the address of a weight for each value.

export const SUPER_BLOCK: i32 = 256;
const SMALLEST: f32 = 1e-15;

const QUANTS = memory.data(256);
const TRIAL = memory.data(32);
const WEIGHTS = memory.data(128, 16);
const SCALES = memory.data(64, 16);
const OFFSETS = memory.data(64, 16);
/** Sums of the groups' weights. */
const GROUP_WEIGHTS = memory.data(64, 16);
const SCALE_QUANTS = memory.data(16);
const OFFSET_QUANTS = memory.data(16);

// @ts-ignore: decorator
@inline
function setFloat(at: usize, i: i32, value: f32): void {
  store<f32>(at + (<usize>i << 2), value);
}

// @ts-ignore: decorator
@inline
function quantAt(i: i32): u32 {
  return load<u8>(QUANTS + i);
}

export function sumOfSquares(values: usize, count: i32): f32 {
  let sum: f32 = 0;
  for (let i = 0; i < count; i++) sum += valueAt(values, i) * valueAt(values, i);
  return sum;
}

/** Weights of a group: importance * sqrt(mean square + value²). @returns their sum */
export function weigh(values: usize, importance: usize, count: i32, meanSquare: f32, weights: usize): f32 {
  let sum: f32 = 0;
  for (let i = 0; i < count; i++) {
    const value = valueAt(values, i);
    const weight = valueAt(importance, i) * sqrt<f32>(meanSquare + value * value);
    setFloat(weights, i, weight);
    sum += weight;
  }
  return sum;
}

/** Rounds a half, writes it, and returns what a reader will see. */
function storeHalf(at: usize, value: f32): f32 {
  const bits = floatToHalf(value);
  store<u16>(at, <u16>bits);
  return halfToFloat(bits);
}

/** Fits groups with offsets, then their scales and offsets to units of halves at `at` and `at` + 2, then all quants anew. */
function fitGroups(
  values: usize,
  importance: usize,
  groupSize: i32,
  levels: i32,
  scaleLevels: i32,
  at: usize,
): void {
  const groups = SUPER_BLOCK / groupSize;
  // Of Q2_K's groups the plain search weighs by magnitude alone and compares magnitudes of errors.
  const isTwoBits = levels == 3;
  const meanSquare = (isTwoBits ? <f32>1 : <f32>2) * sumOfSquares(values, SUPER_BLOCK) / <f32>SUPER_BLOCK;
  for (let group = 0; group < groups; group++) {
    const from = values + (<usize>(group * groupSize) << 2);
    const quants = QUANTS + group * groupSize;
    let scale: f32;
    if (importance != 0) {
      const sum = weigh(from, importance + (<usize>(group * groupSize) << 2), groupSize, meanSquare, WEIGHTS);
      setFloat(GROUP_WEIGHTS, group, sum);
      scale = fitWithOffset(from, WEIGHTS, groupSize, levels, quants, TRIAL, -0.9, 0.05, 36, false);
    } else {
      const base: f32 = isTwoBits ? 0 : sqrt<f32>(sumOfSquares(from, groupSize) / <f32>groupSize);
      for (let i = 0; i < groupSize; i++) setFloat(WEIGHTS, i, base + abs(valueAt(from, i)));
      const first: f32 = levels == 15 ? -1 : -0.5;
      scale = fitWithOffset(from, WEIGHTS, groupSize, levels, quants, TRIAL, first, 0.1, levels == 15 ? 20 : 15, isTwoBits);
    }
    setFloat(SCALES, group, scale);
    setFloat(OFFSETS, group, fittedOffset);
  }
  const d = storeHalf(at, unitOf(SCALES, importance, groups, scaleLevels, SCALE_QUANTS));
  const dmin = storeHalf(at + 2, unitOf(OFFSETS, importance, groups, scaleLevels, OFFSET_QUANTS));
  for (let group = 0; group < groups; group++) {
    const scale = d * <f32>load<u8>(SCALE_QUANTS + group);
    // A group without a scale keeps the quants of its own fit.
    if (scale == 0) continue;
    const offset = dmin * <f32>load<u8>(OFFSET_QUANTS + group);
    for (let i = group * groupSize; i < (group + 1) * groupSize; i++)
      store<u8>(QUANTS + i, clamp(nearestInteger((valueAt(values, i) + offset) / scale), 0, levels));
  }
}

/** Quants of a block's scales, or of its offsets, and their unit before it is rounded. */
function unitOf(values: usize, importance: usize, groups: i32, levels: i32, quants: usize): f32 {
  if (importance != 0) return fitScales(values, GROUP_WEIGHTS, groups, levels, quants);
  let largest: f32 = 0;
  for (let i = 0; i < groups; i++) if (valueAt(values, i) > largest) largest = valueAt(values, i);
  const inverse: f32 = largest > 0 ? <f32>levels / largest : 0;
  for (let i = 0; i < groups; i++)
    store<u8>(quants + i, min(levels, nearestInteger(inverse * valueAt(values, i))));
  return largest / <f32>levels;
}

/** Two bits of each quant: 32 bytes hold 128 of them, 32 apart. */
function storePairs(to: usize): void {
  for (let j = 0; j < SUPER_BLOCK; j += 128)
    for (let l = j; l < j + 32; l++)
      store<u8>(
        to + (j >> 2) + (l - j),
        (quantAt(l) & 3) | ((quantAt(l + 32) & 3) << 2) | ((quantAt(l + 64) & 3) << 4) | ((quantAt(l + 96) & 3) << 6),
      );
}

/** Four bits of each quant: 32 bytes hold 64 of them, 32 apart. */
function storeNibbles(to: usize): void {
  for (let j = 0; j < SUPER_BLOCK; j += 64)
    for (let l = j; l < j + 32; l++)
      store<u8>(to + (j >> 1) + (l - j), (quantAt(l) & 15) | ((quantAt(l + 32) & 15) << 4));
}

export function quantizeQ2K(values: usize, importance: usize, to: usize): void {
  fitGroups(values, importance, 16, 3, 15, to + 80);
  for (let group = 0; group < 16; group++)
    store<u8>(to + group, load<u8>(SCALE_QUANTS + group) | (load<u8>(OFFSET_QUANTS + group) << 4));
  storePairs(to + 16);
}

export function quantizeQ4K(values: usize, importance: usize, to: usize): void {
  fitGroups(values, importance, 32, 15, 63, to);
  storeSixBits(to + 4);
  storeNibbles(to + 16);
}

export function quantizeQ5K(values: usize, importance: usize, to: usize): void {
  fitGroups(values, importance, 32, 31, 63, to);
  storeSixBits(to + 4);
  for (let i = 0; i < 32; i++) {
    let high: u32 = 0;
    for (let part = 0; part < 8; part++) high |= (quantAt(part * 32 + i) >> 4) << part;
    store<u8>(to + 16 + i, high);
  }
  storeNibbles(to + 48);
}

/** Scales and offsets of eight groups, six bits each, in 12 bytes. */
function storeSixBits(to: usize): void {
  for (let group = 0; group < 4; group++) {
    const scale = <u32>load<u8>(SCALE_QUANTS + group);
    const offset = <u32>load<u8>(OFFSET_QUANTS + group);
    const highScale = <u32>load<u8>(SCALE_QUANTS + group, 4);
    const highOffset = <u32>load<u8>(OFFSET_QUANTS + group, 4);
    store<u8>(to + group, scale | ((highScale >> 4) << 6));
    store<u8>(to + group + 4, offset | ((highOffset >> 4) << 6));
    store<u8>(to + group + 8, (highScale & 15) | ((highOffset & 15) << 4));
  }
}

/** Quants anew by the scales that were stored; a group without a scale keeps those of its own fit. */
function roundGroups(values: usize, d: f32, half: i32): void {
  for (let group = 0; group < 16; group++) {
    const scale = d * <f32>load<i8>(SCALE_QUANTS + group);
    if (scale == 0) continue;
    for (let i = group * 16; i < group * 16 + 16; i++)
      store<u8>(QUANTS + i, half + clamp(nearestInteger(valueAt(values, i) / scale), -half, half - 1));
  }
}

export function quantizeQ3K(values: usize, importance: usize, to: usize): void {
  let unit: f32;
  if (importance != 0) {
    const meanSquare = <f32>2 * sumOfSquares(values, SUPER_BLOCK) / <f32>SUPER_BLOCK;
    for (let group = 0; group < 16; group++) {
      const from = values + (<usize>group << 6);
      setFloat(GROUP_WEIGHTS, group, weigh(from, importance + (<usize>group << 6), 16, meanSquare, WEIGHTS));
      setFloat(SCALES, group, fitSymmetric(from, WEIGHTS, 16, 4, QUANTS + group * 16));
    }
    unit = fitSymmetric(SCALES, GROUP_WEIGHTS, 16, 32, SCALE_QUANTS);
  } else {
    for (let group = 0; group < 16; group++)
      setFloat(SCALES, group, fitByTurns(values + (<usize>group << 6), 16, 4, QUANTS + group * 16));
    const inverse = inverseOfScales(32);
    for (let group = 0; group < 16; group++)
      store<u8>(
        SCALE_QUANTS + group,
        inverse == 0 ? 0 : 32 + clamp(nearestInteger(inverse * valueAt(SCALES, group)), -32, 31),
      );
    unit = inverse == 0 ? 0 : <f32>1 / inverse;
  }
  const d = storeHalf(to + 108, unit);
  memory.fill(to + 96, 0, 12);
  for (let group = 0; group < 16; group++) {
    const scale = <u32>load<u8>(SCALE_QUANTS + group);
    const low = to + 96 + (group & 7);
    store<u8>(low, load<u8>(low) | ((scale & 15) << ((group >> 3) << 2)));
    const high = to + 104 + (group & 3);
    store<u8>(high, load<u8>(high) | ((scale >> 4) << ((group >> 2) << 1)));
    store<i8>(SCALE_QUANTS + group, <i8>scale - 32);
  }
  roundGroups(values, d, 4);
  for (let i = 0; i < 32; i++) {
    let high: u32 = 0;
    for (let part = 0; part < 8; part++) high |= (quantAt(part * 32 + i) >> 2) << part;
    store<u8>(to + i, high);
  }
  storePairs(to + 32);
}

/** -`half` over the scale of largest magnitude; 0 where there is none. */
function inverseOfScales(half: i32): f32 {
  let extreme: f32 = 0;
  for (let group = 0; group < 16; group++)
    if (abs(valueAt(SCALES, group)) > abs(extreme)) extreme = valueAt(SCALES, group);
  return extreme == 0 ? 0 : <f32>-half / extreme;
}

export function quantizeQ6K(values: usize, importance: usize, to: usize): void {
  let largest: f32 = 0;
  for (let group = 0; group < 16; group++) {
    const weights = importance != 0 ? importance + (<usize>group << 6) : 0;
    const scale = fitSymmetric(values + (<usize>group << 6), weights, 16, 32, QUANTS + group * 16);
    setFloat(SCALES, group, scale);
    largest = max(largest, abs(scale));
  }
  if (largest < SMALLEST) {
    memory.fill(to, 0, 210);
    return;
  }
  const inverse = inverseOfScales(128);
  const d = storeHalf(to + 208, <f32>1 / inverse);
  for (let group = 0; group < 16; group++) {
    const scale = min(127, nearestInteger(inverse * valueAt(SCALES, group)));
    store<i8>(SCALE_QUANTS + group, <i8>scale);
    store<i8>(to + 192 + group, <i8>scale);
  }
  roundGroups(values, d, 32);
  for (let j = 0; j < SUPER_BLOCK; j += 128) {
    for (let l = j; l < j + 32; l++) {
      const low = to + (j >> 1) + (l - j);
      store<u8>(low, (quantAt(l) & 15) | ((quantAt(l + 64) & 15) << 4));
      store<u8>(low + 32, (quantAt(l + 32) & 15) | ((quantAt(l + 96) & 15) << 4));
      store<u8>(
        to + 128 + (j >> 2) + (l - j),
        (quantAt(l) >> 4) | ((quantAt(l + 32) >> 4) << 2) | ((quantAt(l + 64) >> 4) << 4) | ((quantAt(l + 96) >> 4) << 6),
      );
    }
  }
}
