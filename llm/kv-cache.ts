import { PynqLlmError } from '../errors/index.js';
import type { ModelConfig } from './config.js';
import { KernelMemory, MOST_KERNEL_BYTES, wholeLines } from './kernels.js';

/** What a cache needs to know of its model. */
export type CacheShape = Pick<ModelConfig, 'layers' | 'heads' | 'kvHeads' | 'headDim'>;

/** Sums of a head during attention: token t adds to lane t mod 16 (assembly/attention.ts). */
const LANES = 16;

/**
 * Keys and values of one sequence as IEEE half-precision bits, and the attention over them. The memory for `maxTokens`
 * tokens is reserved at once and touched as the sequence grows. An attention's result depends on its query and the cache only.
 */
export class KvCache {
  readonly maxTokens: number;
  readonly #shape: CacheShape;
  readonly #memory: KernelMemory;
  /** For every layer `maxTokens` rows of kvHeads * headDim. */
  readonly #keys: readonly Uint16Array[];
  readonly #values: readonly Uint16Array[];
  /** The column at hand: a key or value row, the queries, the result. */
  readonly #row: Float32Array;
  readonly #queries: Float32Array;
  readonly #out: Float32Array;
  readonly #scratch: Float32Array;
  readonly #scale: number;
  #length = 0;

  /** @throws PynqLlmError LLM_CONTEXT_LENGTH where the cache would exceed 4 GiB or the memory */
  constructor(shape: CacheShape, maxTokens: number) {
    const { layers, heads, kvHeads, headDim } = shape;
    const width = kvHeads * headDim;
    const group = heads / kvHeads;
    const scratchLength = headDim + group * maxTokens + group * LANES * headDim;
    const byteLength =
      2 * layers * wholeLines(2 * maxTokens * width) +
      wholeLines(4 * width) +
      2 * wholeLines(4 * heads * headDim) +
      wholeLines(4 * scratchLength);
    this.#shape = shape;
    this.maxTokens = maxTokens;
    this.#memory = reserve(byteLength, maxTokens);
    this.#row = this.#memory.floats(width);
    this.#queries = this.#memory.floats(heads * headDim);
    this.#out = this.#memory.floats(heads * headDim);
    this.#scratch = this.#memory.floats(scratchLength);
    this.#keys = Array.from({ length: layers }, () => this.#memory.halves(maxTokens * width));
    this.#values = Array.from({ length: layers }, () => this.#memory.halves(maxTokens * width));
    this.#scale = Math.fround(1 / Math.fround(Math.sqrt(headDim)));
  }

  /** Tokens whose keys and values are in the cache. */
  get length(): number {
    return this.#length;
  }

  /**
   * Makes a place for the token at `position`: the next one, or an earlier one, which forgets what came after it.
   * @throws PynqLlmError LLM_POSITION_RANGE
   */
  extendTo(position: number): void {
    if (
      !Number.isInteger(position) ||
      position < 0 ||
      position > this.#length ||
      position >= this.maxTokens
    ) {
      throw new PynqLlmError(
        'LLM_POSITION_RANGE',
        `Position ${position} cannot be filled: the cache holds ${this.#length} of at most ${this.maxTokens} tokens.`,
        { context: { position, length: this.#length, maxTokens: this.maxTokens } },
      );
    }
    this.#length = position + 1;
  }

  /** Forgets all tokens from `length` on; 0 makes the cache ready for another sequence. */
  truncate(length: number): void {
    this.#length = Math.min(this.#length, length);
  }

  /** Rounds the key and the value of the token at `position` to halves: kvHeads * headDim values from `at` on in each. */
  store(layer: number, position: number, keys: Float32Array, values: Float32Array, at: number): void {
    const width = this.#row.length;
    const { kernels } = this.#memory;
    const bytes = 2 * position * width;
    this.#row.set(keys.subarray(at, at + width));
    kernels.encodeHalves(this.#row.byteOffset, this.#keys[layer].byteOffset + bytes, width);
    this.#row.set(values.subarray(at, at + width));
    kernels.encodeHalves(this.#row.byteOffset, this.#values[layer].byteOffset + bytes, width);
  }

  /**
   * Grouped-query attention of the token at `position`, whose own key and value are stored.
   *
   * @param queries heads * headDim float32 values from `at` on, already rotated
   * @param out receives heads * headDim values from `at` on
   */
  attend(layer: number, position: number, queries: Float32Array, out: Float32Array, at: number): void {
    const { heads, kvHeads, headDim } = this.#shape;
    this.#queries.set(queries.subarray(at, at + heads * headDim));
    this.#memory.kernels.attend(
      this.#queries.byteOffset,
      this.#keys[layer].byteOffset,
      this.#values[layer].byteOffset,
      this.#out.byteOffset,
      this.#scratch.byteOffset,
      kvHeads,
      heads / kvHeads,
      headDim,
      position + 1,
      this.maxTokens,
      this.#scale,
    );
    out.set(this.#out, at);
  }
}

function reserve(byteLength: number, maxTokens: number): KernelMemory {
  const refuse = (cause?: unknown): PynqLlmError =>
    new PynqLlmError(
      'LLM_CONTEXT_LENGTH',
      `Keys and values of ${maxTokens} tokens take ${byteLength} bytes, more than there are.`,
      { context: { maxTokens, byteLength }, cause },
    );
  if (byteLength > MOST_KERNEL_BYTES) throw refuse();
  try {
    return new KernelMemory(byteLength);
  } catch (error) {
    if (error instanceof RangeError) throw refuse(error);
    throw error;
  }
}
