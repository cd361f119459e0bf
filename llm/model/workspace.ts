import { KernelMemory, wholeLines } from '../kernels/kernels.js';
import type { ConvolutionShape } from '../kv/row-layout.js';
import { kvShapeOf, type ModelConfig } from './config.js';
import { MatrixInput } from './matrix-input.js';
import type { Norm } from './norm.js';

/** What the buffers of a step follow from. */
export interface WorkspaceShape
  extends Pick<ModelConfig, 'embedding' | 'heads' | 'kvHeads' | 'headDim' | 'feedForward'> {
  /** Tokens of the vocabulary. */
  readonly vocabulary: number;
  /** Feed-forwards that a router chooses from, and how many a token uses; 0 where there is one feed-forward. */
  readonly experts: number;
  readonly expertsUsed: number;
  /** Values of a head that RoPE turns; those of layers with a window where they have a RoPE of their own, else 0. */
  readonly ropeDimensions: number;
  readonly windowRopeDimensions: number;
  /** Layers that convolve, where there are some. */
  readonly convolution?: ConvolutionShape | undefined;
}

export function workspaceShape(config: ModelConfig): WorkspaceShape {
  const { embedding, heads, kvHeads, headDim, feedForward, experts, rope, windowRope, vocabSize } = config;
  return {
    embedding,
    heads,
    kvHeads,
    headDim,
    feedForward,
    vocabulary: vocabSize,
    experts: experts?.count ?? 0,
    expertsUsed: experts?.used ?? 0,
    ropeDimensions: rope.dimensions,
    windowRopeDimensions: windowRope?.dimensions ?? 0,
    convolution: kvShapeOf(config).convolution,
  };
}

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
  /** What a convolution starts from: three times embedding values a column. */
  readonly projected: Float32Array;
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
  /** Of each column its experts, the likeliest first, their weights, and what they make of it, embedding values each. */
  readonly chosen: Uint32Array;
  readonly chosenWeights: Float32Array;
  readonly chosenUpdates: Float32Array;
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

  /** Bytes of kernel memory. */
  static bytes(shape: WorkspaceShape, maxColumns: number): number {
    const { columns, norm, widest } = widths(shape);
    const floats = [
      ...columns.map((width) => maxColumns * width),
      maxColumns * shape.expertsUsed,
      norm,
      norm,
    ];
    const bytes = floats.reduce((sum, length) => sum + wholeLines(4 * length), 0);
    return bytes + MatrixInput.bytes(widest, maxColumns);
  }

  constructor(shape: WorkspaceShape, maxColumns: number) {
    const { columns, norm, widest } = widths(shape);
    this.memory = new KernelMemory(Workspace.bytes(shape, maxColumns));
    this.maxColumns = maxColumns;
    [
      this.hidden,
      this.normed,
      this.queries,
      this.keys,
      this.values,
      this.projected,
      this.attended,
      this.update,
      this.gate,
      this.up,
      this.routing,
      this.gathered,
      this.expertUpdate,
      this.chosenWeights,
      this.chosenUpdates,
      this.angles,
      this.windowAngles,
      this.logits,
    ] = columns.map((width) => this.memory.floats(maxColumns * width));
    this.chosen = this.memory.words(maxColumns * shape.expertsUsed);
    this.#normWeight = this.memory.floats(norm);
    this.#normBias = this.memory.floats(norm);
    this.input = new MatrixInput(this.memory, widest, maxColumns);
  }

  /**
   * The norm of the first `n` columns of the residual stream into `normed`, with what is still to be added to the stream.
   * @param blocksAddress where the result is to be left as Q8_K too; 0 for nowhere
   */
  normalize(norm: Norm, n: number, blocksAddress: number): void {
    const update = this.hasUpdate ? this.update.byteOffset : 0;
    const [from, to] = [this.hidden.byteOffset, this.normed.byteOffset];
    this.#setNorm(norm);
    this.#normalize(norm, 0, norm.weight.length, from, update, n, to, blocksAddress);
    this.hasUpdate = false;
  }

  /** The norm of the first `rows` rows of `values`, which are as long as its weights, in place. */
  normalizeRows(norm: Norm, values: Float32Array, rows: number): void {
    this.#setNorm(norm);
    const { parts, weight } = norm;
    const length = weight.length / parts;
    if (parts === 1) {
      this.#normalize(norm, 0, length, values.byteOffset, 0, rows, values.byteOffset, 0);
      return;
    }
    for (let row = 0, at = values.byteOffset; row < rows; row++)
      for (let first = 0; first < weight.length; first += length, at += 4 * length)
        this.#normalize(norm, first, length, at, 0, 1, at, 0);
  }

  /** Adds to the first `count` values of the residual stream what is still to be added. */
  addUpdate(count: number): void {
    const { hidden, update } = this;
    if (this.hasUpdate) for (let i = 0; i < count; i++) hidden[i] += update[i];
    this.hasUpdate = false;
  }

  #setNorm({ weight, bias }: Norm): void {
    this.#normWeight.set(weight);
    if (bias !== undefined) this.#normBias.set(bias);
  }

  /** Norms `n` rows of `length` values with the weights from `first` on. */
  #normalize(
    { kind, bias, epsilon }: Norm,
    first: number,
    length: number,
    values: number,
    update: number,
    n: number,
    out: number,
    blocks: number,
  ): void {
    const { kernels } = this.memory;
    const at = this.#normWeight.byteOffset + 4 * first;
    if (kind === 'rms') {
      kernels.normalize(values, update, at, epsilon, length, n, out, blocks);
      return;
    }
    const biasAt = bias === undefined ? 0 : this.#normBias.byteOffset + 4 * first;
    kernels.normalizeLayer(values, update, at, biasAt, epsilon, length, n, out, blocks);
  }
}

/** Values of a column of each buffer, in the order of the constructor; of the longest norm, and of the longest row of a matrix. */
function widths(shape: WorkspaceShape) {
  const { embedding, heads, kvHeads, headDim, feedForward, experts, expertsUsed } = shape;
  const [queries, keys] = [heads * headDim, kvHeads * headDim];
  const ofExperts = experts === 0 ? 0 : embedding;
  const columns = [
    ...[embedding, embedding, queries, keys, keys, shape.convolution ? 3 * embedding : 0],
    ...[queries, embedding, feedForward, feedForward],
    ...[experts, ofExperts, ofExperts, expertsUsed, expertsUsed * embedding],
    ...[shape.ropeDimensions, shape.windowRopeDimensions, shape.vocabulary],
  ];
  return { columns, norm: Math.max(embedding, queries), widest: Math.max(embedding, queries, feedForward) };
}
