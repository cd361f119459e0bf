import type { ModelConfig } from './config.js';

/**
 * The float32 buffers of a step, made once: activations of up to `maxColumns` columns, columns one after another.
 * The operating system backs the pages that are used.
 */
export class Workspace {
  readonly maxColumns: number;
  /** The residual stream: embedding values a column. */
  readonly hidden: Float32Array;
  /** Input of matrices after a norm: embedding values a column. */
  readonly normed: Float32Array;
  /** heads * headDim values a column. */
  readonly queries: Float32Array;
  /** kvHeads * headDim values a column. */
  readonly keys: Float32Array;
  readonly values: Float32Array;
  /** Result of attention: heads * headDim values a column. */
  readonly attended: Float32Array;
  /** What a layer's half adds to the residual stream: embedding values a column. */
  readonly update: Float32Array;
  /** feedForward values a column. */
  readonly gate: Float32Array;
  readonly up: Float32Array;
  /** cos and sin of RoPE for each column's position. */
  readonly angles: Float32Array;
  /** vocabSize values for each column that wants logits. */
  readonly logits: Float32Array;

  constructor(config: ModelConfig, maxColumns: number) {
    const buffer = (width: number): Float32Array => new Float32Array(maxColumns * width);
    const queryWidth = config.heads * config.headDim;
    const keyWidth = config.kvHeads * config.headDim;
    this.maxColumns = maxColumns;
    this.hidden = buffer(config.embedding);
    this.normed = buffer(config.embedding);
    this.queries = buffer(queryWidth);
    this.keys = buffer(keyWidth);
    this.values = buffer(keyWidth);
    this.attended = buffer(queryWidth);
    this.update = buffer(config.embedding);
    this.gate = buffer(config.feedForward);
    this.up = buffer(config.feedForward);
    this.angles = buffer(config.rope.dimensions);
    this.logits = buffer(config.vocabSize);
  }
}
