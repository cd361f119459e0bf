import { cap } from './cap';
import { addLanes, addWeighted, dotOfRows } from './block';
import { roundToHalves } from '../../../gguf/assembly/half';
import { dotOfInts, quantizedLayerBytes, quantizeQuery, scaleAt } from './quantized-page';
import { BLOCK, BLOCK_PAGES, clearRows, fillFromBytes, fillFromHalves, PAGE, rowChunks, rowsBytes } from './rows';
import { softmax } from './softmax';

/** A page's entry in the table: the addresses of its group's first layer's keys and values; an INT8 page has both at the first. */
const ENTRY_BYTES: usize = 8;

/** Of the words that `attend` is given: where those of the columns begin, and how many bytes each has. */
const COLUMNS_AT: usize = 32;
const COLUMN_BYTES: usize = 16;

// What all functions here need of a column: every thread has an instance, and globals, of its own.
let pages: usize = 0;
let layer: i32 = 0;
let quantized: bool = false;
let kvHeads: i32 = 0;
let headDim: i32 = 0;
let tokens: i32 = 0;
/** The first token that a column sees, its page and its block: pages before it may be gone. */
let firstToken: i32 = 0;
let firstPage: i32 = 0;
let firstBlock: i32 = 0;
let scale: f32 = 0;
/** Scratch: rows of a block; of every query head its row, its scores and its 16 lanes of sums, its int16 and their scales. */
let rows: usize = 0;
let queryRows: usize = 0;
let scores: usize = 0;
let sums: usize = 0;
let queryScales: usize = 0;
let queryInts: usize = 0;
let queryBytes: usize = 0;
let scoreBytes: usize = 0;
let sumBytes: usize = 0;

/**
 * Attention of columns over the pages of their sequences; a unit is a head of keys and values of a column, with the `group` of
 * queries that it has. As in llama.cpp with F16 keys and values, queries and softmax weights are rounded to halves before
 * their products; sums are float32 in the order of dot.ts, whatever page a token is in. All addresses are byte offsets.
 *
 * float32 SIMD, which takes subnormals for zero on armv7, is right here, because there are none: a half is a multiple of
 * 2^-24, so products of two are multiples of 2^-48, and so are sums of them, however they are rounded. The scale of
 * an INT8 page is 0, NaN or at least 2^-24 / 127, so its weights are multiples of 2^-78, and so are their sums.
 *
 * @param args words, as llm/kv/attention.ts writes them: layer, of those that share a frame; whether all pages but a column's own, the last, are INT8; heads
 *   of keys and values; group; headDim; the scale, a float32; how many of the last tokens a column sees, 0 for all; the bound of
 *   the scores, a float32, 0 for none; then of each column the addresses of its queries, headDim
 *   float32 a head, of an entry for every page that its tokens reach into (those before its window are not read), and of where the result goes, like the
 *   queries; and its tokens
 * @param scratch see scratchBytes in llm/kv/layout.ts
 */
export function attend(args: usize, firstUnit: i32, endUnit: i32, scratch: usize): void {
  const heads = load<i32>(args, 8);
  for (let unit = firstUnit; unit < endUnit; ) {
    const column = unit / heads;
    const end = min(endUnit, (column + 1) * heads);
    attendColumn(args, args + COLUMNS_AT + <usize>column * COLUMN_BYTES, unit % heads, end - column * heads, scratch);
    unit = end;
  }
}

function attendColumn(args: usize, column: usize, firstKvHead: i32, endKvHead: i32, scratch: usize): void {
  layer = load<i32>(args);
  quantized = load<i32>(args, 4) != 0;
  kvHeads = load<i32>(args, 8);
  const group = load<i32>(args, 12);
  headDim = load<i32>(args, 16);
  scale = load<f32>(args, 20);
  const window = load<i32>(args, 24);
  const bound = load<f32>(args, 28);
  const queries = load<usize>(column);
  pages = load<usize>(column, 4);
  const out = load<usize>(column, 8);
  tokens = load<i32>(column, 12);
  firstToken = window == 0 ? 0 : max(0, tokens - window);
  firstPage = firstToken / PAGE;
  firstBlock = firstToken / BLOCK;
  queryBytes = <usize>rowChunks(headDim) << 4;
  scoreBytes = <usize>blocksOf(tokens) * (BLOCK << 2);
  sumBytes = <usize>PAGE * queryBytes;
  rows = scratch;
  queryRows = rows + rowsBytes(headDim);
  sums = queryRows + <usize>group * queryBytes;
  queryInts = sums + <usize>group * sumBytes;
  queryScales = queryInts + (<usize>group * queryBytes >> 1);
  scores = queryScales + (<usize>(group + 3 & ~3) << 2);
  const headBytes = <usize>headDim << 2;
  // Padding of the rows stays zero: nobody writes there.
  memory.fill(rows, 0, rowsBytes(headDim) + <usize>group * queryBytes);
  for (let kvHead = firstKvHead; kvHead < endKvHead; kvHead++) {
    for (let head = 0; head < group; head++) {
      const query = queryRows + <usize>head * queryBytes;
      roundToHalves(queries + <usize>(kvHead * group + head) * headBytes, query, headDim);
      if (!quantized) continue;
      const ints = queryInts + (<usize>head * queryBytes >> 1);
      store<f32>(queryScales + (<usize>head << 2), quantizeQuery(query, ints, headDim));
    }
    score(kvHead, group);
    for (let head = 0; head < group; head++) {
      const from = scores + <usize>head * scoreBytes + <usize>firstBlock * (BLOCK << 2);
      if (bound != 0) cap(from, (blocksOf(tokens) - firstBlock) * BLOCK, bound);
      softmax(from, firstToken - firstBlock * BLOCK, tokens - firstBlock * BLOCK);
    }
    memory.fill(sums, 0, <usize>group * sumBytes);
    mix(kvHead, group);
    for (let head = 0; head < group; head++) {
      addLanes(sums + <usize>head * sumBytes, queryBytes, out + <usize>(kvHead * group + head) * headBytes, headDim);
    }
  }
}

// @ts-ignore: decorator
@inline
function blocksOf(tokens: i32): i32 {
  return (tokens + BLOCK - 1) / BLOCK;
}

// @ts-ignore: decorator
@inline
function entryOf(page: i32): usize {
  return pages + <usize>page * ENTRY_BYTES;
}

/** The column's own page, which is the last one and always of halves. */
// @ts-ignore: decorator
@inline
function lastPage(): i32 {
  return (tokens - 1) / PAGE;
}

/** Lanes that any token of a block is in. */
// @ts-ignore: decorator
@inline
function lanesIn(): i32 {
  return min(PAGE, tokens);
}

/** scores[head][block][token mod 16][page] = query . key * scale. */
function score(kvHead: i32, group: i32): void {
  const blocks = blocksOf(tokens);
  const last = lastPage();
  for (let block = quantized ? last / BLOCK_PAGES : firstBlock; block < blocks; block++) {
    for (let page = 0; page < BLOCK_PAGES; page++) {
      const number = block * BLOCK_PAGES + page;
      if (number > last || number < firstPage || (quantized && number < last)) clearRows(rows, page, headDim, 0);
      else fillHalves(<usize>load<u32>(entryOf(number)), kvHead, page, number);
    }
    for (let head = 0; head < group; head++) {
      const to = scores + <usize>head * scoreBytes + <usize>block * (BLOCK << 2);
      dotOfRows(queryRows + <usize>head * queryBytes, rows, queryBytes, to, lanesIn(), scale);
    }
  }
  if (!quantized) return;
  for (let page = firstPage; page < last; page++) {
    const from = <usize>load<u32>(entryOf(page)) + <usize>layer * quantizedLayerBytes(kvHeads, headDim);
    for (let head = 0; head < group; head++) scoreBytesPage(from, kvHead, head, page);
  }
}

/** The same for a complete page of INT8, with queries of int16: sums are exact, so their order is free. */
function scoreBytesPage(from: usize, kvHead: i32, head: i32, page: i32): void {
  let key = from + <usize>(kvHead * PAGE * headDim);
  const unit = load<f32>(queryScales + (<usize>head << 2)) * load<f32>(scaleAt(from, kvHeads, headDim, kvHead)) * scale;
  const ints = queryInts + (<usize>head * queryBytes >> 1);
  let to = scoreOf(head, page);
  for (let token = 0; token < PAGE; token++) {
    store<f32>(to, <f32>dotOfInts(ints, key, headDim) * unit);
    key += headDim;
    to += BLOCK_PAGES << 2;
  }
}

/** Where the score of a page's first token is. */
// @ts-ignore: decorator
@inline
function scoreOf(head: i32, page: i32): usize {
  const block = <usize>(page / BLOCK_PAGES) * (BLOCK << 2);
  return scores + <usize>head * scoreBytes + block + (<usize>(page % BLOCK_PAGES) << 2);
}

/** sums[head][token mod 16] += weight * value, page after page. */
function mix(kvHead: i32, group: i32): void {
  const blocks = blocksOf(tokens);
  const last = lastPage();
  for (let block = firstBlock; block < blocks; block++) {
    let scales = f32x4.splat(1);
    for (let page = 0; page < BLOCK_PAGES; page++) {
      const number = block * BLOCK_PAGES + page;
      if (number > last || number < firstPage) {
        clearRows(rows, page, headDim, 0);
      } else if (quantized && number < last) {
        const from = <usize>load<u32>(entryOf(number)) + <usize>layer * quantizedLayerBytes(kvHeads, headDim);
        const scaleOfPage = load<f32>(scaleAt(from, kvHeads, headDim, kvHeads + kvHead));
        scales = withLane(scales, page, scaleOfPage);
        fillFromBytes(from + <usize>((kvHeads + kvHead) * PAGE * headDim), rows, page, headDim);
      } else {
        fillHalves(<usize>load<u32>(entryOf(number), 4), kvHead, page, number);
      }
    }
    for (let head = 0; head < group; head++) {
      const weights = scores + <usize>head * scoreBytes + <usize>block * (BLOCK << 2);
      addWeighted(weights, scales, rows, queryBytes, sums + <usize>head * sumBytes, lanesIn());
    }
  }
}

// @ts-ignore: decorator
@inline
function withLane(vector: v128, lane: i32, value: f32): v128 {
  if (lane == 0) return f32x4.replace_lane(vector, 0, value);
  if (lane == 1) return f32x4.replace_lane(vector, 1, value);
  if (lane == 2) return f32x4.replace_lane(vector, 2, value);
  return f32x4.replace_lane(vector, 3, value);
}

/** Rows of page `number` of the sequence, whose first layer's keys or values begin at `from`. */
function fillHalves(from: usize, kvHead: i32, page: i32, number: i32): void {
  const width = kvHeads * headDim;
  const head = from + (<usize>(layer * PAGE * width + kvHead * headDim) << 1);
  fillFromHalves(head, <usize>width << 1, rows, page, headDim, min(PAGE, tokens - number * PAGE));
}
