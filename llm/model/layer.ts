import type { Column } from './column.js';
import type { ModelConfig } from './config.js';
import type { LinearGroup } from './linear-group.js';
import type { Rope } from './rope.js';
import type { Workspace } from './workspace.js';

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;

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

/**
 * One transformer layer: hidden += attention(norm(hidden)); hidden += feedForward(norm(hidden)). What is added last stays in
 * `update`, until the norm that comes next takes it into `hidden`.
 */
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
    this.#norm(weights.attentionNorm, n, this.index > 0, weights.keysValues);
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
      if (columns[first + i].logits !== undefined) this.#queue(columns[first + i], at++);
    columns[first].cache.attend(this.index, wanted, workspace.attended);
    this.#finish(wanted);
    return wanted;
  }

  #attend(columns: readonly Column[], first: number, n: number): void {
    this.#norm(this.weights.attentionNorm, n, this.index > 0, this.weights.qkv);
    // Keys and values of all columns before any attention: a column of a prompt sees those before it.
    for (let i = 0; i < n; i++) this.#store(columns[first + i], i);
    for (let i = 0; i < n; i++) this.#queue(columns[first + i], i);
    columns[first].cache.attend(this.index, n, this.workspace.attended);
  }

  /** Rotates query `i` and queues it for attention to what its column sees. */
  #queue({ cache, position }: Column, i: number): void {
    const { workspace, config } = this;
    const { heads, headDim } = config;
    const at = i * heads * headDim;
    this.#rotate(workspace.queries, at, heads, i);
    cache.queue(i, position, workspace.queries, at);
  }

  /** From what was attended to, to the end of the layer. */
  #finish(n: number): void {
    this.weights.attentionOutput.multiply(this.workspace.attended, n);
    this.#feedForward(n);
  }

  #feedForward(n: number): void {
    const { feedForwardNorm, gateUp, down } = this.weights;
    const { memory, gate, up } = this.workspace;
    this.#norm(feedForwardNorm, n, true, gateUp);
    const to = down.blocksAddress;
    memory.kernels.swiGlu(gate.byteOffset, up.byteOffset, n * this.config.feedForward, to);
    down.multiply(gate, n, to !== 0);
  }

  /** Rotates key `i` and stores key and value of its column. */
  #store(column: Column, i: number): void {
    const { workspace, config } = this;
    const { kvHeads, headDim } = config;
    const keyWidth = kvHeads * headDim;
    this.#rotate(workspace.keys, i * keyWidth, kvHeads, i);
    column.cache.store(this.index, column.position, workspace.keys, workspace.values, i * keyWidth);
  }

  /** Turns `heads` heads from `at` on by the angles of column `i`. */
  #rotate(rows: Float32Array, at: number, heads: number, i: number): void {
    const { memory, angles } = this.workspace;
    const { rowLength } = this.rope;
    const first = rows.byteOffset + at * FLOAT_BYTES;
    const turn = angles.byteOffset + i * rowLength * FLOAT_BYTES;
    memory.kernels.rotate(first, heads, this.config.headDim, rowLength, turn);
  }

  /** Takes the update into the residual stream where there is one, and multiplies `group` with the norm of that. */
  #norm(weight: Float32Array, n: number, hasUpdate: boolean, group: LinearGroup): void {
    const { workspace, config } = this;
    const to = group.blocksAddress;
    workspace.normalize(weight, config.rmsEpsilon, n, hasUpdate, to);
    group.multiply(workspace.normed, n, to !== 0);
  }
}

function moveRow(rows: Float32Array, width: number, from: number, to: number): void {
  if (from !== to) rows.copyWithin(to * width, from * width, (from + 1) * width);
}
