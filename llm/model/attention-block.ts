import type { AttentionOptions } from '../kv/attention.js';
import type { Column } from './column.js';
import type { LayerConfig, ModelConfig } from './config.js';
import type { LinearGroup } from './linear-group.js';
import type { Norm } from './norm.js';
import { leaveUpdate, moveRow, multiplyStream } from './stream.js';
import type { Workspace } from './workspace.js';

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;

/** Weights of attention, the matrices bound to the buffers of the workspace. */
export interface AttentionWeights {
  readonly norm: Norm | undefined;
  /** normed -> queries, keys, values */
  readonly qkv: LinearGroup;
  /** The same matrices in two groups, for the last layer. */
  readonly keysValues: LinearGroup;
  readonly query: LinearGroup;
  readonly queryNorm: Norm | undefined;
  readonly keyNorm: Norm | undefined;
  /** attended -> update */
  readonly output: LinearGroup;
  readonly postNorm: Norm | undefined;
}

/** The first half of a layer: hidden += attention(norm(hidden)). */
export class AttentionBlock {
  readonly #options: AttentionOptions;
  readonly #angles: Float32Array | undefined;

  /** @param index of the layer among those that keep keys and values */
  constructor(
    readonly index: number,
    readonly config: ModelConfig,
    layer: LayerConfig,
    readonly weights: AttentionWeights,
    readonly workspace: Workspace,
  ) {
    const { scales, caps, windowRope } = config;
    this.#options = { scale: scales.attention, window: layer.window, cap: caps.attention };
    const isOwn = layer.rope === 'windowRope' && windowRope !== undefined;
    this.#angles = layer.rope === 'none' ? undefined : isOwn ? workspace.windowAngles : workspace.angles;
  }

  /** Core cycles of `n` columns of which `wanted` go on. */
  coreCycles(n: number, wanted = n): number {
    const { qkv, keysValues, query, output } = this.weights;
    const first = wanted === n ? qkv.coreCycles(n) : keysValues.coreCycles(n) + query.coreCycles(wanted);
    return first + output.coreCycles(wanted);
  }

  /** `n` columns from `columns[first]` on; the result stays in `update`. */
  forward(columns: readonly Column[], first: number, n: number): void {
    const { workspace, weights } = this;
    multiplyStream(workspace, weights.norm, n, weights.qkv);
    this.#normKeys(n);
    this.#normQueries(n);
    // Keys and values of all columns before any attention: a column of a prompt sees those before it.
    for (let i = 0; i < n; i++) this.#store(columns[first + i], i);
    for (let i = 0; i < n; i++) this.#queue(columns[first + i], i);
    this.#attend(columns[first], n);
  }

  /**
   * The same in the last layer: all leave their keys and values, and only the `wanted` columns that want logits go on. They come
   * first in the residual stream afterwards, in their order.
   */
  forwardLast(columns: readonly Column[], first: number, n: number, wanted: number): void {
    const { workspace, weights, config } = this;
    multiplyStream(workspace, weights.norm, n, weights.keysValues);
    this.#normKeys(n);
    for (let i = 0, to = 0; i < n; i++) {
      this.#store(columns[first + i], i);
      if (columns[first + i].logits === undefined) continue;
      moveRow(workspace.hidden, config.embedding, i, to);
      moveRow(workspace.normed, config.embedding, i, to);
      if (this.#angles !== undefined) moveRow(this.#angles, config.rope.dimensions, i, to);
      to++;
    }
    if (wanted === 0) return;
    weights.query.multiply(weights.norm === undefined ? workspace.hidden : workspace.normed, wanted);
    this.#normQueries(wanted);
    for (let i = 0, at = 0; i < n; i++)
      if (columns[first + i].logits !== undefined) this.#queue(columns[first + i], at++);
    this.#attend(columns[first], wanted);
  }

  #attend({ cache }: Column, n: number): void {
    const { workspace, weights, config } = this;
    cache.attend(this.index, n, workspace.attended, this.#options);
    weights.output.multiply(workspace.attended, n);
    leaveUpdate(workspace, weights.postNorm, n, config.scales.residual);
  }

  #normKeys(n: number): void {
    const { workspace, weights, config } = this;
    const { keyNorm } = weights;
    if (keyNorm === undefined) return;
    const rows = (n * config.kvHeads * config.headDim) / keyNorm.weight.length;
    workspace.normalizeRows(keyNorm, workspace.keys, rows);
  }

  #normQueries(n: number): void {
    const { workspace, weights, config } = this;
    const { queryNorm } = weights;
    if (queryNorm === undefined) return;
    const rows = (n * config.heads * config.headDim) / queryNorm.weight.length;
    workspace.normalizeRows(queryNorm, workspace.queries, rows);
  }

  /** Rotates query `i` and queues it for attention to what its column sees. */
  #queue({ cache, position }: Column, i: number): void {
    const { workspace, config } = this;
    const { heads, headDim, scales } = config;
    const width = heads * headDim;
    const at = i * width;
    this.#rotate(workspace.queries, at, heads, i);
    if (scales.query !== 1) {
      const { queries } = workspace;
      for (let value = at; value < at + width; value++) queries[value] *= scales.query;
    }
    cache.queue(this.index, i, position, workspace.queries, at);
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
    if (this.#angles === undefined) return;
    const { kernels } = this.workspace.memory;
    const { headDim, rope } = this.config;
    const first = rows.byteOffset + at * FLOAT_BYTES;
    const turn = this.#angles.byteOffset + i * rope.dimensions * FLOAT_BYTES;
    if (rope.pairs === 'halves') kernels.rotateHalves(first, heads, headDim, rope.dimensions, turn);
    else kernels.rotate(first, heads, headDim, rope.dimensions, turn);
  }
}
