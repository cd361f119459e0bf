import type { KvCache } from '../kv/cache.js';

/** One token of one sequence on its way through the model; a step takes columns of any sequences together. */
export interface Column {
  readonly cache: KvCache;
  readonly token: number;
  /** The token's place in its sequence: all earlier ones are in the cache or come before it in the same step. */
  readonly position: number;
  /** Receives vocabSize logits of the next token where given. */
  readonly logits?: Float32Array | undefined;
}
