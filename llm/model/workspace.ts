import { KernelMemory, wholeLines } from '../kernels/kernels.js';
import type { ModelConfig } from './config.js';
import { MatrixInput } from './matrix-input.js';

/**
 * The float32 buffers of a step, made once, in kernel memory: activations of up to `maxColumns` columns, columns one after
 * another. The operating system backs the pages that are used.
 */
export class Workspace {
  readonly maxColumns: number;
  readonly memory: KernelMemory;
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
  /** The weights of the norm at hand: embedding values. */
  readonly #normWeight: Float32Array;
  readonly input: MatrixInput;

  constructor(config: ModelConfig, maxColumns: number) {
    const { embedding, heads, kvHeads, headDim, feedForward, rope, vocabSize } = config;
    const queryWidth = heads * headDim;
    const keyWidth = kvHeads * headDim;
    const widest = Math.max(embedding, queryWidth, feedForward);
    const widths = [
      embedding,
      embedding,
      queryWidth,
      keyWidth,
      keyWidth,
      queryWidth,
      embedding,
      feedForward,
      feedForward,
      rope.dimensions,
      vocabSize,
    ];
    const bytes = widths.reduce((sum, width) => sum + wholeLines(4 * maxColumns * width), 0);
    const inputBytes = MatrixInput.bytes(widest, maxColumns);
    this.memory = new KernelMemory(bytes + wholeLines(4 * embedding) + inputBytes);
    this.maxColumns = maxColumns;
    [
      this.hidden,
      this.normed,
      this.queries,
      this.keys,
      this.values,
      this.attended,
      this.update,
      this.gate,
      this.up,
      this.angles,
      this.logits,
    ] = widths.map((width) => this.memory.floats(maxColumns * width));
    this.#normWeight = this.memory.floats(embedding);
    this.input = new MatrixInput(this.memory, widest, maxColumns);
  }

  /**
   * RMSNorm of the first `n` columns of `hidden` into `normed`; see assembly/norm.ts.
   * @param hasUpdate whether `update` is added to `hidden` before
   * @param blocksAddress where the result is to be left as Q8_K too; 0 for nowhere
   */
  normalize(
    weight: Float32Array,
    epsilon: number,
    n: number,
    hasUpdate: boolean,
    blocksAddress: number,
  ): void {
    this.#normWeight.set(weight);
    this.memory.kernels.normalize(
      this.hidden.byteOffset,
      hasUpdate ? this.update.byteOffset : 0,
      this.#normWeight.byteOffset,
      epsilon,
      weight.length,
      n,
      this.normed.byteOffset,
      blocksAddress,
    );
  }
}
