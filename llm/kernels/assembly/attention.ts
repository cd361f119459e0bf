import { addLanes, dot, LANES } from './dot';
import { floatToHalf, halfToFloat } from './half';
import { decodeBytes, dotOfInts, keyScaleAt, PAGE, quantizedLayerBytes, quantizeQuery } from './quantized-page';

/** A page's entry in the table: the addresses of its first layer's keys and values; an INT8 page has both at the first. */
const ENTRY_BYTES: usize = 8;

/** e^x with the same bits on every machine: maths/. */
// @ts-ignore: decorator
@external('env', 'exp')
declare function exp(x: f64): f64;

/**
 * Attention of the heads of one column over the pages of its sequence. As in llama.cpp with F16 keys and values, queries and
 * softmax weights are rounded to halves before their products; sums are float32 in the order of dot.ts, whatever page
 * a token is in. All addresses are byte offsets.
 *
 * @param queries kvHeads * group * headDim float32, rotated; rounded to halves here
 * @param pages an entry for every page that the tokens reach into
 * @param quantized whether all pages but the column's own, the last, are INT8
 * @param out receives kvHeads * group * headDim float32
 * @param scratch see scratchBytes in llm/kv/layout.ts
 */
export function attend(
  queries: usize,
  pages: usize,
  layer: i32,
  quantized: bool,
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
  const scoreBytes = <usize>maxTokens << 2;
  const sums = scores + <usize>group * scoreBytes;
  const queryScales = sums + <usize>(group * LANES) * headBytes;
  const queryInts = queryScales + (<usize>group << 2);
  const halves = <usize>(layer * kvHeads * headDim * PAGE) << 1;
  const bytes = <usize>layer * quantizedLayerBytes(kvHeads, headDim);
  const ownPage = (tokens - 1) & ~(PAGE - 1);
  const firstHalves = quantized ? ownPage : 0;
  roundToHalves(queries, queries, kvHeads * group * headDim);
  for (let kvHead = 0; kvHead < kvHeads; kvHead++) {
    const query = queries + <usize>(kvHead * group) * headBytes;
    if (quantized) {
      for (let head = 0; head < group; head++) {
        const ints = queryInts + (<usize>(head * headDim) << 1);
        store<f32>(queryScales + (<usize>head << 2), quantizeQuery(query + <usize>head * headBytes, ints, headDim));
      }
    }
    for (let first = 0; first < tokens; first += PAGE) {
      const keys = <usize>load<u32>(entryOf(pages, first));
      const at = scores + (<usize>first << 2);
      if (first < firstHalves) {
        scoreBytesPage(queryInts, queryScales, keys + bytes, at, scoreBytes, kvHeads, kvHead, group, headDim, scale);
      } else {
        const count = min(PAGE, tokens - first);
        scoreHalvesPage(query, keys + halves, row, at, scoreBytes, kvHeads, kvHead, group, headDim, count, scale);
      }
    }
    for (let head = 0; head < group; head++) softmax(scores + <usize>head * scoreBytes, tokens);
    memory.fill(sums, 0, <usize>(group * LANES) * headBytes);
    for (let first = 0; first < tokens; first += PAGE) {
      const at = scores + (<usize>first << 2);
      if (first < firstHalves) {
        const page = <usize>load<u32>(entryOf(pages, first)) + bytes;
        mixBytesPage(at, scoreBytes, page, row, sums, kvHeads, kvHead, group, headDim);
      } else {
        const values = <usize>load<u32>(entryOf(pages, first), 4) + halves;
        mixHalvesPage(at, scoreBytes, values, row, sums, kvHeads, kvHead, group, headDim, min(PAGE, tokens - first));
      }
    }
    for (let head = 0; head < group; head++) {
      for (let i = 0; i < headDim; i++) {
        const lanes = sums + <usize>(head * LANES) * headBytes + (<usize>i << 2);
        store<f32>(out + <usize>(kvHead * group + head) * headBytes + (<usize>i << 2), addLanes(lanes, headBytes));
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function entryOf(pages: usize, firstToken: i32): usize {
  return pages + <usize>(firstToken / PAGE) * ENTRY_BYTES;
}

/** scores[head][token] = query . key * scale for the `count` tokens of a page of halves. */
function scoreHalvesPage(
  query: usize,
  keys: usize,
  row: usize,
  scores: usize,
  scoreBytes: usize,
  kvHeads: i32,
  kvHead: i32,
  group: i32,
  headDim: i32,
  count: i32,
  scale: f32,
): void {
  const headBytes = <usize>headDim << 2;
  const tokenBytes = <usize>(kvHeads * headDim) << 1;
  const inRow = <usize>(kvHead * headDim) << 1;
  for (let token = 0; token < count; token++) {
    decodeHalves(keys + <usize>token * tokenBytes + inRow, row, headDim);
    for (let head = 0; head < group; head++) {
      const score = dot(query + <usize>head * headBytes, row, headDim) * scale;
      store<f32>(scores + <usize>head * scoreBytes + (<usize>token << 2), score);
    }
  }
}

/** The same for a complete page of INT8, with queries of int16: sums are exact, so their order is free. */
function scoreBytesPage(
  queryInts: usize,
  queryScales: usize,
  page: usize,
  scores: usize,
  scoreBytes: usize,
  kvHeads: i32,
  kvHead: i32,
  group: i32,
  headDim: i32,
  scale: f32,
): void {
  const keys = page + <usize>(kvHead * PAGE * headDim);
  const keyScale = load<f32>(keyScaleAt(page, kvHeads, headDim, kvHead));
  for (let head = 0; head < group; head++) {
    const ints = queryInts + (<usize>(head * headDim) << 1);
    const unit = load<f32>(queryScales + (<usize>head << 2)) * keyScale * scale;
    const to = scores + <usize>head * scoreBytes;
    for (let token = 0; token < PAGE; token++) {
      store<f32>(to + (<usize>token << 2), <f32>dotOfInts(ints, keys + <usize>(token * headDim), headDim) * unit);
    }
  }
}

/** sums[head][token mod 16] += weight * value: 16 lanes of headDim float32 a head. */
function mixHalvesPage(
  scores: usize,
  scoreBytes: usize,
  values: usize,
  row: usize,
  sums: usize,
  kvHeads: i32,
  kvHead: i32,
  group: i32,
  headDim: i32,
  count: i32,
): void {
  const headBytes = <usize>headDim << 2;
  const tokenBytes = <usize>(kvHeads * headDim) << 1;
  const inRow = <usize>(kvHead * headDim) << 1;
  for (let token = 0; token < count; token++) {
    decodeHalves(values + <usize>token * tokenBytes + inRow, row, headDim);
    for (let head = 0; head < group; head++) {
      const weight = halfToFloat(floatToHalf(load<f32>(scores + <usize>head * scoreBytes + (<usize>token << 2))));
      addTimes(sums + <usize>(head * LANES + token) * headBytes, weight, row, headBytes);
    }
  }
}

/** The same for a complete page of INT8: the page's scale goes into the weights. */
function mixBytesPage(
  scores: usize,
  scoreBytes: usize,
  page: usize,
  row: usize,
  sums: usize,
  kvHeads: i32,
  kvHead: i32,
  group: i32,
  headDim: i32,
): void {
  const headBytes = <usize>headDim << 2;
  const values = page + <usize>((kvHeads + kvHead) * PAGE * headDim);
  const valueScale = load<f32>(keyScaleAt(page, kvHeads, headDim, kvHeads + kvHead));
  for (let token = 0; token < PAGE; token++) {
    decodeBytes(values + <usize>(token * headDim), row, headDim);
    for (let head = 0; head < group; head++) {
      const score = load<f32>(scores + <usize>head * scoreBytes + (<usize>token << 2));
      const weight = halfToFloat(floatToHalf(score)) * valueScale;
      addTimes(sums + <usize>(head * LANES + token) * headBytes, weight, row, headBytes);
    }
  }
}

// @ts-ignore: decorator
@inline
function addTimes(sum: usize, weight: f32, row: usize, bytes: usize): void {
  for (let at: usize = 0; at < bytes; at += 4) {
    store<f32>(sum + at, load<f32>(sum + at) + weight * load<f32>(row + at));
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
