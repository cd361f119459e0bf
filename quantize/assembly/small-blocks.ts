import { floatToHalf } from '../../gguf/assembly/half';
import { clamp, fitSymmetric, fittedOffset, fitWithOffset, nearestInteger, valueAt } from './fit';
import { sumOfSquares, weigh } from './super-blocks';

// Blocks of 32 values, and IQ4_XS, whose groups are such blocks, as ggml's quantisers fill them.

const BLOCK: i32 = 32;
const SMALLEST: f32 = 1e-15;

const QUANTS = memory.data(256);
const TRIAL = memory.data(32);
const WEIGHTS = memory.data(128, 16);
const SCALES = memory.data(32, 16);

/** A row of Q4_0 (`half` 8) or Q5_0 (16). */
export function quantizeAround(values: usize, importance: usize, columns: i32, half: i32, to: usize): usize {
  const meanSquare = importance != 0 ? sumOfSquares(values, columns) / <f32>columns : 0;
  for (let from = 0; from < columns; from += BLOCK) {
    const block = values + (<usize>from << 2);
    let d: f32;
    if (importance != 0) {
      weigh(block, importance + (<usize>from << 2), BLOCK, meanSquare, WEIGHTS);
      d = fitSymmetric(block, WEIGHTS, BLOCK, half, QUANTS);
    } else {
      d = extremeOf(block) / <f32>-half;
      const inverse: f32 = d != 0 ? <f32>1 / d : 0;
      for (let i = 0; i < BLOCK; i++) {
        const quant = <i32>(valueAt(block, i) * inverse + (<f32>half + <f32>0.5));
        store<u8>(QUANTS + i, min(2 * half - 1, quant));
      }
    }
    store<u16>(to, <u16>floatToHalf(d));
    to = storeQuants(to + 2, half == 16);
  }
  return to;
}

/** A row of Q4_1 (`levels` 15) or Q5_1 (31). */
export function quantizeAbove(values: usize, importance: usize, columns: i32, levels: i32, to: usize): usize {
  const meanSquare = importance != 0 ? sumOfSquares(values, columns) / <f32>columns : 0;
  for (let from = 0; from < columns; from += BLOCK) {
    const block = values + (<usize>from << 2);
    let d: f32;
    let low: f32;
    if (importance != 0) {
      weigh(block, importance + (<usize>from << 2), BLOCK, meanSquare, WEIGHTS);
      d = fitWithOffset(block, WEIGHTS, BLOCK, levels, QUANTS, TRIAL, -0.9, 0.05, 36, false);
      low = -fittedOffset;
    } else {
      low = f32.MAX_VALUE;
      let high: f32 = -f32.MAX_VALUE;
      for (let i = 0; i < BLOCK; i++) {
        if (valueAt(block, i) < low) low = valueAt(block, i);
        if (valueAt(block, i) > high) high = valueAt(block, i);
      }
      d = (high - low) / <f32>levels;
      const inverse: f32 = d != 0 ? <f32>1 / d : 0;
      for (let i = 0; i < BLOCK; i++)
        store<u8>(QUANTS + i, min(levels, <i32>((valueAt(block, i) - low) * inverse + <f32>0.5)));
    }
    store<u16>(to, <u16>floatToHalf(d));
    store<u16>(to, <u16>floatToHalf(low), 2);
    to = storeQuants(to + 4, levels == 31);
  }
  return to;
}

/** Nibbles, behind the fifth bits where there are five. @returns the byte behind them */
function storeQuants(to: usize, hasFifth: bool): usize {
  if (hasFifth) {
    let fifth: u32 = 0;
    for (let i = 0; i < BLOCK; i++) fifth |= (<u32>load<u8>(QUANTS + i) >> 4) << i;
    store<u32>(to, fifth);
    to += 4;
  }
  storeNibbles(QUANTS, to);
  return to + 16;
}

function storeNibbles(quants: usize, to: usize): void {
  for (let i = 0; i < 16; i++)
    store<u8>(to + i, (load<u8>(quants + i) & 15) | ((load<u8>(quants + i, 16) & 15) << 4));
}

function extremeOf(values: usize): f32 {
  let extreme: f32 = 0;
  for (let i = 0; i < BLOCK; i++) if (abs(valueAt(values, i)) > abs(extreme)) extreme = valueAt(values, i);
  return extreme;
}

export function quantizeQ80(values: usize, columns: i32, to: usize): usize {
  for (let from = 0; from < columns; from += BLOCK, to += 34) {
    const block = values + (<usize>from << 2);
    const d = abs(extremeOf(block)) / <f32>127;
    const inverse: f32 = d != 0 ? <f32>1 / d : 0;
    store<u16>(to, <u16>floatToHalf(d));
    for (let i = 0; i < BLOCK; i++) {
      const value = valueAt(block, i) * inverse;
      // Halves away from zero. What is below a half in magnitude must not become 1 by the addition's rounding.
      const whole = trunc<f32>(value);
      const away = abs(value - whole) >= <f32>0.5 ? copysign<f32>(1, value) : <f32>0;
      store<i8>(to + 2 + i, <i8><i32>(whole + away));
    }
  }
  return to;
}

/** What the 16 quants of IQ4_NL and IQ4_XS stand for (kvalues_iq4nl of ggml). */
const STEPS = memory.data<i8>([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]);

// @ts-ignore: decorator
@inline
function stepOf(quant: i32): f32 {
  return <f32>load<i8>(STEPS + quant);
}

function nearestStep(value: f32): i32 {
  if (value <= stepOf(0)) return 0;
  if (value >= stepOf(15)) return 15;
  let below = 0;
  let above = 15;
  while (above - below > 1) {
    const middle = (below + above) >> 1;
    if (value < stepOf(middle)) above = middle;
    else below = middle;
  }
  return value - stepOf(above - 1) < stepOf(above) - value ? above - 1 : above;
}

let sumXQ: f32 = 0;
let sumQQ: f32 = 0;

function sumSteps(values: usize, inverse: f32): void {
  let products: f32 = 0;
  let squares: f32 = 0;
  for (let i = 0; i < BLOCK; i++) {
    const value = valueAt(values, i);
    const step = stepOf(nearestStep(inverse * value));
    const weight = valueAt(WEIGHTS, i);
    products += weight * step * value;
    squares += weight * step * step;
  }
  sumXQ = products;
  sumQQ = squares;
}

/** The scale of 32 values: the best of 16 widths. */
function fitSteps(values: usize, importance: usize, meanSquare: f32): f32 {
  if (importance != 0) weigh(values, importance, BLOCK, meanSquare, WEIGHTS);
  else
    for (let i = 0; i < BLOCK; i++)
      store<f32>(WEIGHTS + (<usize>i << 2), valueAt(values, i) * valueAt(values, i));
  const extreme = extremeOf(values);
  if (abs(extreme) < SMALLEST) return 0;
  sumSteps(values, <f32>1 / (-extreme / stepOf(0)));
  let d: f32 = sumQQ > 0 ? sumXQ / sumQQ : 0;
  let best = d * sumXQ;
  for (let i = -7; i <= 7; i++) {
    sumSteps(values, (<f32>i + stepOf(0)) / extreme);
    if (sumQQ > 0 && sumXQ * sumXQ > best * sumQQ) {
      d = sumXQ / sumQQ;
      best = d * sumXQ;
    }
  }
  return d;
}

function roundToSteps(values: usize, inverse: f32, quants: usize): void {
  for (let i = 0; i < BLOCK; i++) store<u8>(quants + i, nearestStep(inverse * valueAt(values, i)));
}

export function quantizeIQ4NL(values: usize, importance: usize, columns: i32, to: usize): usize {
  for (let from = 0; from < columns; from += BLOCK, to += 18) {
    const block = values + (<usize>from << 2);
    const meanSquare = sumOfSquares(block, BLOCK) * (<f32>2 / <f32>BLOCK);
    const d = fitSteps(block, importance != 0 ? importance + (<usize>from << 2) : 0, meanSquare);
    store<u16>(to, <u16>floatToHalf(d));
    roundToSteps(block, d != 0 ? <f32>1 / d : 0, QUANTS);
    storeNibbles(QUANTS, to + 2);
  }
  return to;
}

export function quantizeIQ4XS(values: usize, importance: usize, to: usize): void {
  const meanSquare = sumOfSquares(values, 256) * (<f32>2 / <f32>256);
  let extreme: f32 = 0;
  for (let group = 0; group < 8; group++) {
    const from = <usize>group << 7;
    const scale = fitSteps(values + from, importance != 0 ? importance + from : 0, meanSquare);
    store<f32>(SCALES + (<usize>group << 2), scale);
    if (abs(scale) > abs(extreme)) extreme = scale;
  }
  const d = -extreme / <f32>32;
  const inverse: f32 = d != 0 ? <f32>1 / d : 0;
  store<u16>(to, <u16>floatToHalf(d));
  let high: u32 = 0;
  memory.fill(to + 4, 0, 4);
  for (let group = 0; group < 8; group++) {
    const quant = clamp(nearestInteger(inverse * valueAt(SCALES, group)), -32, 31);
    const scale = d * <f32>quant;
    roundToSteps(values + (<usize>group << 7), scale != 0 ? <f32>1 / scale : 0, QUANTS);
    storeNibbles(QUANTS, to + 8 + (group << 4));
    const stored = <u32>(quant + 32);
    const low = to + 4 + (group >> 1);
    store<u8>(low, load<u8>(low) | ((stored & 15) << ((group & 1) << 2)));
    high |= (stored >> 4) << (group << 1);
  }
  store<u16>(to, <u16>high, 2);
}
