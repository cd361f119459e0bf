import { PynqLlmError } from '../errors/index.js';

/**
 * Keys and values of one sequence, as IEEE half-precision bits: for every layer `maxTokens` rows of kvHeads * headDim.
 * The memory is reserved at once and touched as the sequence grows (the runtime takes zeroed pages from the system).
 */
export class KvCache {
  readonly maxTokens: number;
  readonly keys: readonly Uint16Array[];
  readonly values: readonly Uint16Array[];
  #length = 0;

  /** @param width kvHeads * headDim */
  constructor(layers: number, width: number, maxTokens: number) {
    this.maxTokens = maxTokens;
    this.keys = Array.from({ length: layers }, () => new Uint16Array(maxTokens * width));
    this.values = Array.from({ length: layers }, () => new Uint16Array(maxTokens * width));
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
}
