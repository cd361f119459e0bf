import type { Column } from './column.js';
import type { ModelConfig } from './config.js';
import type { MatrixGroup } from './linear-group.js';
import type { Norm } from './norm.js';
import { leaveUpdate, moveRow, multiplyStream } from './stream.js';
import type { Workspace } from './workspace.js';

/** Weights of a convolution, the matrices bound to the buffers of the workspace. */
export interface ConvolutionWeights {
  readonly norm: Norm | undefined;
  /** normed -> projected: what gates the input, what gates the output, and the input */
  readonly input: MatrixGroup;
  /** For every token that it goes over, the own one last, a weight for each value. */
  readonly taps: readonly Float32Array[];
  /** normed, which is free by then -> update */
  readonly output: MatrixGroup;
  readonly postNorm: Norm | undefined;
}

/**
 * The first half of a layer that convolves: hidden += output(c · convolution(b · x)), where b, c and x are parts of input(norm(hidden))
 * and each value is convolved with its own values of the last tokens. The rows b · x of tokens stay in the cache.
 *
 * Each product and each sum is rounded to float32, from the oldest token to the own one, whatever else is in the step.
 */
export class ConvolutionBlock {
  /** @param index of the layer among those that convolve */
  constructor(
    readonly index: number,
    readonly config: ModelConfig,
    readonly weights: ConvolutionWeights,
    readonly workspace: Workspace,
  ) {}

  /** Core cycles of `n` columns of which `wanted` go on. */
  coreCycles(n: number, wanted = n): number {
    return this.weights.input.coreCycles(n) + this.weights.output.coreCycles(wanted);
  }

  /** `n` columns from `columns[first]` on; the result stays in `update`. */
  forward(columns: readonly Column[], first: number, n: number): void {
    this.#project(columns, first, n);
    for (let i = 0; i < n; i++) this.#convolve(columns[first + i], i, i);
    this.#leave(n);
  }

  /**
   * The same in the last layer: all leave their rows, and only the `wanted` columns that want logits go on. They come first in the
   * residual stream afterwards, in their order.
   */
  forwardLast(columns: readonly Column[], first: number, n: number, wanted: number): void {
    this.#project(columns, first, n);
    for (let i = 0, to = 0; i < n; i++) {
      if (columns[first + i].logits === undefined) continue;
      moveRow(this.workspace.hidden, this.config.embedding, i, to);
      this.#convolve(columns[first + i], i, to++);
    }
    if (wanted > 0) this.#leave(wanted);
  }

  /** Rows of all columns before any convolution: a column of a prompt goes over those before it. */
  #project(columns: readonly Column[], first: number, n: number): void {
    const { workspace, weights, config } = this;
    const { projected } = workspace;
    const { embedding } = config;
    multiplyStream(workspace, weights.norm, n, weights.input);
    for (let i = 0; i < n; i++) {
      const { cache, position } = columns[first + i];
      const at = 3 * i * embedding;
      for (let value = at; value < at + embedding; value++)
        projected[value] *= projected[value + 2 * embedding];
      cache.storeRow(this.index, position, projected, at);
    }
  }

  /** Of column `i`, as column `to` of `normed`. */
  #convolve({ cache, position }: Column, i: number, to: number): void {
    const { workspace, weights, config } = this;
    const { projected, normed } = workspace;
    const { embedding } = config;
    const { taps } = weights;
    const out = normed.subarray(to * embedding, (to + 1) * embedding);
    out.fill(0);
    const oldest = position + 1 - taps.length;
    // Before the first token there is nothing.
    for (let tap = Math.max(0, -oldest); tap < taps.length; tap++)
      addProducts(cache.row(this.index, oldest + tap), taps[tap], out);
    const gate = (3 * i + 1) * embedding;
    for (let value = 0; value < embedding; value++) out[value] *= projected[gate + value];
  }

  #leave(n: number): void {
    const { workspace, weights, config } = this;
    weights.output.multiply(workspace.normed, n);
    leaveUpdate(workspace, weights.postNorm, n, config.scales.residual);
  }
}

/** Adds a · b to `out`, value by value: the product is rounded, then the sum. */
export function addProducts(a: Float32Array, b: Float32Array, out: Float32Array): void {
  for (let value = 0; value < out.length; value++) out[value] += Math.fround(a[value] * b[value]);
}

/** The weights of each token of a tensor that has those of each value side by side. */
export function readTaps(weights: Float32Array, values: number): Float32Array[] {
  const taps = weights.length / values;
  return Array.from({ length: taps }, (_, tap) =>
    Float32Array.from({ length: values }, (_, value) => weights[value * taps + tap]),
  );
}
