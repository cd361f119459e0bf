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
  /** The same matrices in two groups, for the last layer. */
  readonly keysValues: LinearGroup;
  readonly query: LinearGroup;
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

  /** Core cycles of `n` columns; where it is the last layer, of `n` columns of which `wanted` want logits. */
  coreCycles(n: number, wanted = n): number {
    const { qkv, keysValues, query, attentionOutput, gateUp, down } = this.weights;
    const rest = [attentionOutput, gateUp, down];
    const first = wanted === n ? qkv.coreCycles(n) : keysValues.coreCycles(n) + query.coreCycles(wanted);
    return rest.reduce((sum, group) => sum + group.coreCycles(wanted), first);
  }

  /** Takes `n` columns from `columns[first]` on through the layer, in place in the residual stream. */
  forward(columns: readonly Column[], first: number, n: number): void {
    this.#attend(columns, first, n);
    this.#finish(n);
  }

  /**
   * The last layer's: columns that want no logits leave their keys and values, and nobody asks for more of them.
   * @returns columns that want logits; they come first in the residual stream afterwards, in their order
   */
  forwardLast(columns: readonly Column[], first: number, n: number): number {
    const { workspace, weights, config, rope } = this;
    let wanted = 0;
    for (let i = 0; i < n; i++) if (columns[first + i].logits !== undefined) wanted++;
    if (wanted === n) {
      this.forward(columns, first, n);
      return n;
    }
    this.#norm(weights.attentionNorm, n);
    weights.keysValues.multiply(workspace.normed, n);
    for (let i = 0, to = 0; i < n; i++) {
      this.#store(columns[first + i], i);
      if (columns[first + i].logits === undefined) continue;
      moveRow(workspace.hidden, config.embedding, i, to);
      moveRow(workspace.normed, config.embedding, i, to);
      moveRow(workspace.angles, rope.rowLength, i, to);
      to++;
    }
    if (wanted === 0) return 0;
    weights.query.multiply(workspace.normed, wanted);
    for (let i = 0, at = 0; i < n; i++)
      if (columns[first + i].logits !== undefined) this.#attendTo(columns[first + i], at++);
    this.#finish(wanted);
    return wanted;
  }

  #attend(columns: readonly Column[], first: number, n: number): void {
    this.#norm(this.weights.attentionNorm, n);
    this.weights.qkv.multiply(this.workspace.normed, n);
    // Keys and values of all columns before any attention: a column of a prompt sees those before it.
    for (let i = 0; i < n; i++) this.#store(columns[first + i], i);
    for (let i = 0; i < n; i++) this.#attendTo(columns[first + i], i);
  }

  /** Rotates query `i` and attends to what its column sees. */
  #attendTo({ cache, position }: Column, i: number): void {
    const { workspace, config, rope } = this;
    const { heads, headDim } = config;
    const at = i * heads * headDim;
    rope.rotate(workspace.queries, at, heads, headDim, workspace.angles, i * rope.rowLength);
    cache.attend(this.index, position, workspace.queries, workspace.attended, at);
  }

  /** From what was attended to, to the end of the layer. */
  #finish(n: number): void {
    this.weights.attentionOutput.multiply(this.workspace.attended, n);
    this.#addUpdate(n);
    this.#feedForward(n);
  }

  #feedForward(n: number): void {
    const { workspace, config } = this;
    this.#norm(this.weights.feedForwardNorm, n);
    this.weights.gateUp.multiply(workspace.normed, n);
    swiGlu(workspace.gate, workspace.up, n * config.feedForward);
    this.weights.down.multiply(workspace.gate, n);
    this.#addUpdate(n);
  }

  /** Rotates key `i` and stores key and value of its column. */
  #store(column: Column, i: number): void {
    const { workspace, config, rope } = this;
    const { kvHeads, headDim } = config;
    const keyWidth = kvHeads * headDim;
    const anglesAt = i * rope.rowLength;
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

function moveRow(rows: Float32Array, width: number, from: number, to: number): void {
  if (from !== to) rows.copyWithin(to * width, from * width, (from + 1) * width);
}
