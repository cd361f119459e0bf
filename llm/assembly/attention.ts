import { addLanes, dot, LANES } from './dot';
import { floatToHalf, halfToFloat } from './half';

/** e^x with the same bits on every machine: llm/maths. */
// @ts-ignore: decorator
@external('env', 'exp')
declare function exp(x: f64): f64;

/**
 * Attention of the heads of one column. As in llama.cpp with F16 keys and values, queries and softmax weights are rounded
 * to halves before their products; sums are float32 in the order of dot.ts. All addresses are byte offsets.
 *
 * @param queries kvHeads * group * headDim float32, rotated; rounded to halves here
 * @param keys tokens rows of kvHeads * headDim halves; `values` likewise
 * @param out receives kvHeads * group * headDim float32
 * @param scratch (headDim + group * maxTokens + group * 16 * headDim) float32
 */
export function attend(
  queries: usize,
  keys: usize,
  values: usize,
  out: usize,
  scratch: usize,
  kvHeads: i32,
  group: i32,
  headDim: i32,
  tokens: i32,
  maxTokens: i32,
  scale: f32,
): void {
  const headBytes = <usize>headDim << 2;
  const row = scratch;
  const scores = row + headBytes;
  const sums = scores + (<usize>(group * maxTokens) << 2);
  const scoreBytes = <usize>maxTokens << 2;
  const tokenBytes = <usize>(kvHeads * headDim) << 1;
  roundToHalves(queries, queries, kvHeads * group * headDim);
  for (let kvHead = 0; kvHead < kvHeads; kvHead++) {
    const query = queries + <usize>(kvHead * group) * headBytes;
    const inRow = <usize>(kvHead * headDim) << 1;
    for (let token = 0; token < tokens; token++) {
      decodeHalves(keys + <usize>token * tokenBytes + inRow, row, headDim);
      for (let head = 0; head < group; head++) {
        const score = dot(query + <usize>head * headBytes, row, headDim) * scale;
        store<f32>(scores + <usize>head * scoreBytes + (<usize>token << 2), score);
      }
    }
    for (let head = 0; head < group; head++) softmax(scores + <usize>head * scoreBytes, tokens);
    mix(scores, scoreBytes, values + inRow, tokenBytes, row, sums, group, headDim, tokens);
    for (let head = 0; head < group; head++) {
      for (let i = 0; i < headDim; i++) {
        const lanes = sums + <usize>(head * LANES) * headBytes + (<usize>i << 2);
        store<f32>(out + <usize>(kvHead * group + head) * headBytes + (<usize>i << 2), addLanes(lanes, headBytes));
      }
    }
  }
}

/** sums[head][token mod 16] += weight * value: 16 lanes of headDim float32 a head. */
// @ts-ignore: decorator
@inline
function mix(
  scores: usize,
  scoreBytes: usize,
  values: usize,
  tokenBytes: usize,
  row: usize,
  sums: usize,
  group: i32,
  headDim: i32,
  tokens: i32,
): void {
  const headBytes = <usize>headDim << 2;
  memory.fill(sums, 0, <usize>(group * LANES) * headBytes);
  for (let token = 0; token < tokens; token++) {
    decodeHalves(values + <usize>token * tokenBytes, row, headDim);
    for (let head = 0; head < group; head++) {
      const weight = halfToFloat(floatToHalf(load<f32>(scores + <usize>head * scoreBytes + (<usize>token << 2))));
      const lane = sums + <usize>(head * LANES + (token & (LANES - 1))) * headBytes;
      for (let at: usize = 0; at < headBytes; at += 4) {
        store<f32>(lane + at, load<f32>(lane + at) + weight * load<f32>(row + at));
      }
    }
  }
}

/** Softmax in place with the largest score taken out; the sum in double, in order. */
// @ts-ignore: decorator
@inline
function softmax(scores: usize, count: i32): void {
  const end = scores + (<usize>count << 2);
  let largest = -f32.MAX_VALUE;
  for (let at = scores; at < end; at += 4) largest = max<f32>(largest, load<f32>(at));
  let sum: f64 = 0;
  for (let at = scores; at < end; at += 4) {
    const value = <f32>exp(<f64>(load<f32>(at) - largest));
    store<f32>(at, value);
    sum += <f64>value;
  }
  const inverse = <f32>(1.0 / sum);
  for (let at = scores; at < end; at += 4) store<f32>(at, load<f32>(at) * inverse);
}

/** `count` halves to float32. */
export function decodeHalves(halves: usize, floats: usize, count: i32): void {
  for (let i: usize = 0; i < <usize>count; i++) {
    store<f32>(floats + (i << 2), halfToFloat(<u32>load<u16>(halves + (i << 1))));
  }
}

/** `count` float32 to halves. */
export function encodeHalves(floats: usize, halves: usize, count: i32): void {
  for (let i: usize = 0; i < <usize>count; i++) {
    store<u16>(halves + (i << 1), <u16>floatToHalf(load<f32>(floats + (i << 2))));
  }
}

/** `count` float32, each rounded to the nearest half; `to` may be `from`. */
export function roundToHalves(from: usize, to: usize, count: i32): void {
  for (let i: usize = 0; i < <usize>count; i++) {
    store<f32>(to + (i << 2), halfToFloat(floatToHalf(load<f32>(from + (i << 2)))));
  }
}
