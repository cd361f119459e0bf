import { KernelMemory, wholeLines } from '../kernels/kernels.js';
import type { ModelConfig } from './config.js';
import { MatrixInput } from './matrix-input.js';
import type { Norm } from './norm.js';

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
  /** Of a mixture of experts: a value an expert, and the columns of an expert with what it makes of them, embedding values each. */
  readonly routing: Float32Array;
  readonly gathered: Float32Array;
  readonly expertUpdate: Float32Array;
  /** cos and sin of RoPE for each column's position, and of the other RoPE of layers with a window. */
  readonly angles: Float32Array;
  readonly windowAngles: Float32Array;
  /** vocabSize values for each column that wants logits. */
  readonly logits: Float32Array;
  /** Weights and bias of the norm at hand. */
  readonly #normWeight: Float32Array;
  readonly #normBias: Float32Array;
  readonly input: MatrixInput;
  /** Whether `update` is still to be added to `hidden`. */
  hasUpdate = false;

  constructor(config: ModelConfig, maxColumns: number) {
    const { embedding, heads, kvHeads, headDim, feedForward, experts, rope, windowRope, vocabSize } = config;
    const [queryWidth, keyWidth] = [heads * headDim, kvHeads * headDim];
    const widest = Math.max(embedding, queryWidth, feedForward);
    const normed = Math.max(embedding, queryWidth);
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
      experts?.count ?? 0,
      experts ? embedding : 0,
      experts ? embedding : 0,
      rope.dimensions,
      windowRope?.dimensions ?? 0,
      vocabSize,
    ];
    const floats = [...widths.map((width) => maxColumns * width), normed, normed];
    const bytes = floats.reduce((sum, length) => sum + wholeLines(4 * length), 0);
    this.memory = new KernelMemory(bytes + MatrixInput.bytes(widest, maxColumns));
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
      this.routing,
      this.gathered,
      this.expertUpdate,
      this.angles,
      this.windowAngles,
      this.logits,
    ] = widths.map((width) => this.memory.floats(maxColumns * width));
    this.#normWeight = this.memory.floats(normed);
    this.#normBias = this.memory.floats(normed);
    this.input = new MatrixInput(this.memory, widest, maxColumns);
  }

  /**
   * The norm of the first `n` columns of the residual stream into `normed`, with what is still to be added to the stream.
   * @param blocksAddress where the result is to be left as Q8_K too; 0 for nowhere
   */
  normalize(norm: Norm, n: number, blocksAddress: number): void {
    const update = this.hasUpdate ? this.update.byteOffset : 0;
    this.#normalize(norm, this.hidden.byteOffset, update, n, this.normed.byteOffset, blocksAddress);
    this.hasUpdate = false;
  }

  /** The norm of the first `rows` rows of `values`, which are as long as its weights, in place. */
  normalizeRows(norm: Norm, values: Float32Array, rows: number): void {
    this.#normalize(norm, values.byteOffset, 0, rows, values.byteOffset, 0);
  }

  /** Adds to the first `count` values of the residual stream what is still to be added. */
  addUpdate(count: number): void {
    const { hidden, update } = this;
    if (this.hasUpdate) for (let i = 0; i < count; i++) hidden[i] += update[i];
    this.hasUpdate = false;
  }

  #normalize(
    { kind, weight, bias, epsilon }: Norm,
    values: number,
    update: number,
    n: number,
    out: number,
    blocks: number,
  ): void {
    const { kernels } = this.memory;
    const { length } = weight;
    this.#normWeight.set(weight);
    const at = this.#normWeight.byteOffset;
    if (kind === 'rms') {
      kernels.normalize(values, update, at, epsilon, length, n, out, blocks);
      return;
    }
    if (bias !== undefined) this.#normBias.set(bias);
    const biasAt = bias === undefined ? 0 : this.#normBias.byteOffset;
    kernels.normalizeLayer(values, update, at, biasAt, epsilon, length, n, out, blocks);
  }
}
