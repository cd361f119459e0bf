import { floatToHalf, halfToFloat } from '../gguf/index.js';
import type { ModelConfig } from './config.js';
import { addLanes, dot, LANES } from './dot.js';
import type { KvCache } from './kv-cache.js';
import { exp } from './maths/index.js';

/**
 * Grouped-query attention of single columns over their own F16 caches.
 *
 * As in llama.cpp with F16 keys and values, queries and softmax weights are rounded to half precision before their
 * products, and sums are float32 in the order of dot.ts. A column's result depends on its query and cache only.
 */
export class Attention {
  readonly #headDim: number;
  readonly #kvHeads: number;
  readonly #group: number;
  readonly #scale: number;
  readonly #maxTokens: number;
  /** One K or V row of one head as float32. */
  readonly #row: Float32Array;
  /** The query heads of one group, rounded to halves. */
  readonly #query: Float32Array;
  /** Scores of the heads of one group, `#maxTokens` apart. */
  readonly #scores: Float32Array;
  /** For each head of a group 16 lanes of headDim sums: token t adds to lane t mod 16. */
  readonly #sums: Float32Array;

  /** @param maxTokens the longest cache that will be seen */
  constructor(config: ModelConfig, maxTokens: number) {
    this.#headDim = config.headDim;
    this.#kvHeads = config.kvHeads;
    this.#group = config.heads / config.kvHeads;
    this.#scale = Math.fround(1 / Math.fround(Math.sqrt(config.headDim)));
    this.#maxTokens = maxTokens;
    this.#row = new Float32Array(config.headDim);
    this.#query = new Float32Array(this.#group * config.headDim);
    this.#scores = new Float32Array(this.#group * maxTokens);
    this.#sums = new Float32Array(this.#group * LANES * config.headDim);
  }

  /**
   * @param queries heads * headDim float32 values of the column, from `at` on, already rotated
   * @param cache holds the column's own key and value at `position`
   * @param out receives heads * headDim values from `at` on
   */
  column(
    queries: Float32Array,
    at: number,
    cache: KvCache,
    layer: number,
    position: number,
    out: Float32Array,
  ): void {
    const groupLength = this.#group * this.#headDim;
    const tokens = position + 1;
    for (let kvHead = 0; kvHead < this.#kvHeads; kvHead++) {
      const from = at + kvHead * groupLength;
      for (let i = 0; i < groupLength; i++) this.#query[i] = halfToFloat(floatToHalf(queries[from + i]));
      this.#score(cache.keys[layer], kvHead, tokens);
      for (let head = 0; head < this.#group; head++) softmax(this.#scores, head * this.#maxTokens, tokens);
      this.#mix(cache.values[layer], kvHead, tokens, out, from);
    }
  }

  /** scores[head][token] = query . key / sqrt(headDim) */
  #score(keys: Uint16Array, kvHead: number, tokens: number): void {
    const headDim = this.#headDim;
    for (let token = 0; token < tokens; token++) {
      this.#loadRow(keys, kvHead, token);
      for (let head = 0; head < this.#group; head++) {
        this.#scores[head * this.#maxTokens + token] =
          dot(this.#query, head * headDim, this.#row, 0, headDim) * this.#scale;
      }
    }
  }

  /** out[head] = sum over tokens of weight * value */
  #mix(values: Uint16Array, kvHead: number, tokens: number, out: Float32Array, outAt: number): void {
    const headDim = this.#headDim;
    const row = this.#row;
    const sums = this.#sums;
    sums.fill(0);
    for (let token = 0; token < tokens; token++) {
      this.#loadRow(values, kvHead, token);
      for (let head = 0; head < this.#group; head++) {
        const weight = halfToFloat(floatToHalf(this.#scores[head * this.#maxTokens + token]));
        const lane = (head * LANES + (token % LANES)) * headDim;
        for (let i = 0; i < headDim; i++) sums[lane + i] += weight * row[i];
      }
    }
    for (let i = 0; i < this.#group * headDim; i++) {
      const head = Math.floor(i / headDim);
      out[outAt + i] = addLanes(sums, head * LANES * headDim + (i % headDim), headDim);
    }
  }

  #loadRow(halves: Uint16Array, kvHead: number, token: number): void {
    const headDim = this.#headDim;
    const row = this.#row;
    const from = (token * this.#kvHeads + kvHead) * headDim;
    for (let i = 0; i < headDim; i++) row[i] = halfToFloat(halves[from + i]);
  }
}

/** Softmax in place with the largest score taken out; the sum in double, in order. */
function softmax(scores: Float32Array, at: number, count: number): void {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = at; i < at + count; i++) if (scores[i] > largest) largest = scores[i];
  let sum = 0;
  for (let i = at; i < at + count; i++) {
    const value = Math.fround(exp(Math.fround(scores[i] - largest)));
    scores[i] = value;
    sum += value;
  }
  const inverse = Math.fround(1 / sum);
  for (let i = at; i < at + count; i++) scores[i] *= inverse;
}
