import type { Column } from './column.js';
import type { ModelConfig } from './config.js';
import type { LinearGroup } from './linear-group.js';
import { rmsNorm } from './norm.js';
import type { Rope } from './rope.js';
import { swiGlu } from './swiglu.js';
import type { Workspace } from './workspace.js';

/** Weights of one layer, the matrices bound to the buffers of the workspace. */
export interface LayerWeights {
  readonly attentionNorm: Float32Array;
  /** normed -> queries, keys, values */
  readonly qkv: LinearGroup;
  /** attended -> update */
  readonly attentionOutput: LinearGroup;
  readonly feedForwardNorm: Float32Array;
  /** normed -> gate, up */
  readonly gateUp: LinearGroup;
  /** gate -> update */
  readonly down: LinearGroup;
}

/** One transformer layer: hidden += attention(norm(hidden)); hidden += feedForward(norm(hidden)). */
export class Layer {
  constructor(
    readonly index: number,
    readonly config: ModelConfig,
    readonly weights: LayerWeights,
    readonly workspace: Workspace,
    readonly rope: Rope,
  ) {}

  /** Core cycles of `n` columns. */
  coreCycles(n: number): number {
    const { qkv, attentionOutput, gateUp, down } = this.weights;
    return [qkv, attentionOutput, gateUp, down].reduce((sum, group) => sum + group.coreCycles(n), 0);
  }

  /** Takes `n` columns from `columns[first]` on through the layer, in place in the residual stream. */
  forward(columns: readonly Column[], first: number, n: number): void {
    this.#attend(columns, first, n);
    this.#feedForward(n);
  }

  #attend(columns: readonly Column[], first: number, n: number): void {
    const { workspace, config } = this;
    const queryWidth = config.heads * config.headDim;
    this.#norm(this.weights.attentionNorm, n);
    this.weights.qkv.multiply(workspace.normed, n);
    // Keys and values of all columns before any attention: a column of a prompt sees those before it.
    for (let i = 0; i < n; i++) this.#store(columns[first + i], i);
    for (let i = 0; i < n; i++) {
      const { cache, position } = columns[first + i];
      cache.attend(this.index, position, workspace.queries, workspace.attended, i * queryWidth);
    }
    this.weights.attentionOutput.multiply(workspace.attended, n);
    this.#addUpdate(n);
  }

  #feedForward(n: number): void {
    const { workspace, config } = this;
    this.#norm(this.weights.feedForwardNorm, n);
    this.weights.gateUp.multiply(workspace.normed, n);
    swiGlu(workspace.gate, workspace.up, n * config.feedForward);
    this.weights.down.multiply(workspace.gate, n);
    this.#addUpdate(n);
  }

  /** Rotates query and key of column `i` and stores key and value as halves. */
  #store(column: Column, i: number): void {
    const { workspace, config, rope } = this;
    const { heads, kvHeads, headDim } = config;
    const keyWidth = kvHeads * headDim;
    const anglesAt = i * rope.rowLength;
    rope.rotate(workspace.queries, i * heads * headDim, heads, headDim, workspace.angles, anglesAt);
    rope.rotate(workspace.keys, i * keyWidth, kvHeads, headDim, workspace.angles, anglesAt);
    column.cache.store(this.index, column.position, workspace.keys, workspace.values, i * keyWidth);
  }

  #norm(weight: Float32Array, n: number): void {
    const { hidden, normed } = this.workspace;
    const { embedding, rmsEpsilon } = this.config;
    for (let i = 0; i < n; i++) rmsNorm(hidden, i * embedding, weight, rmsEpsilon, normed, i * embedding);
  }

  #addUpdate(n: number): void {
    const { hidden, update } = this.workspace;
    for (let i = 0; i < n * this.config.embedding; i++) hidden[i] += update[i];
  }
}
