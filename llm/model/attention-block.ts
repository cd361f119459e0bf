import type { AttentionOptions } from '../kv/attention.js';
import type { Column } from './column.js';
import type { LayerConfig, ModelConfig } from './config.js';
import type { MatrixGroup } from './linear-group.js';
import type { Norm } from './norm.js';
import { leaveUpdate, moveRow, multiplyStream } from './stream.js';
import type { Workspace } from './workspace.js';

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;

/** Weights of attention, the matrices bound to the buffers of the workspace. */
export interface AttentionWeights {
  readonly norm: Norm | undefined;
  /** normed -> queries, keys, values */
  readonly qkv: MatrixGroup;
  /** The same matrices in two groups, for the last layer. */
  readonly keysValues: MatrixGroup;
  readonly query: MatrixGroup;
  readonly queryNorm: Norm | undefined;
  readonly keyNorm: Norm | undefined;
  /** attended -> update */
  readonly output: MatrixGroup;
  readonly postNorm: Norm | undefined;
}

/** Heads that are attended with here. */
export interface OwnHeads {
  readonly queries: number;
  readonly kv: number;
  /** Queries that attention takes: as many for each head of keys and values. Others than the own ones are zero. */
  readonly slots: number;
  /** The place of the first own query among them. */
  readonly firstSlot: number;
}

/** The first half of a layer: hidden += attention(norm(hidden)). */
export class AttentionBlock {
  readonly #options: AttentionOptions;
  readonly #angles: Float32Array | undefined;
  /** A column's queries in their slots, where there are others than the own ones. */
  readonly #slots: Float32Array | undefined;

  /**
   * @param index of the layer among those that keep keys and values
   * @param heads all of the model's, unless others have a part of them
   */
  constructor(
    readonly index: number,
    readonly config: ModelConfig,
    layer: LayerConfig,
    readonly weights: AttentionWeights,
    readonly workspace: Workspace,
    readonly heads: OwnHeads,
  ) {
    const { scales, caps, windowRope } = config;
    if (heads.slots > heads.queries) this.#slots = new Float32Array(heads.slots * config.headDim);
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
    if (this.#slots !== undefined) this.#leaveOwn(n, this.#slots.length);
    weights.output.multiply(workspace.attended, n);
    leaveUpdate(workspace, weights.postNorm, n, config.scales.residual);
  }

  /** Moves the own heads of `n` columns of `width` values together. */
  #leaveOwn(n: number, width: number): void {
    const { attended } = this.workspace;
    const { queries, firstSlot } = this.heads;
    const { headDim } = this.config;
    const own = queries * headDim;
    for (let i = 0, from = firstSlot * headDim; i < n; i++, from += width)
      attended.copyWithin(i * own, from, from + own);
  }

  #normKeys(n: number): void {
    const { workspace, weights, config } = this;
    const { keyNorm } = weights;
    if (keyNorm === undefined) return;
    const rows = (n * this.heads.kv * config.headDim) / keyNorm.weight.length;
    workspace.normalizeRows(keyNorm, workspace.keys, rows);
  }

  #normQueries(n: number): void {
    const { workspace, weights, config } = this;
    const { queryNorm } = weights;
    if (queryNorm === undefined) return;
    const rows = (n * this.heads.queries * config.headDim) / queryNorm.weight.length;
    workspace.normalizeRows(queryNorm, workspace.queries, rows);
  }

  /** Rotates query `i` and queues it for attention to what its column sees. */
  #queue({ cache, position }: Column, i: number): void {
    const { workspace, config } = this;
    const { queries } = workspace;
    const { headDim, scales } = config;
    const width = this.heads.queries * headDim;
    const at = i * width;
    this.#rotate(queries, at, this.heads.queries, i);
    if (scales.query !== 1) {
      for (let value = at; value < at + width; value++) queries[value] *= scales.query;
    }
    if (this.#slots === undefined) {
      cache.queue(this.index, i, position, queries, at);
      return;
    }
    this.#slots.set(queries.subarray(at, at + width), this.heads.firstSlot * headDim);
    cache.queue(this.index, i, position, this.#slots, 0);
  }

  /** Rotates key `i` and stores key and value of its column. */
  #store(column: Column, i: number): void {
    const { workspace, config } = this;
    const keyWidth = this.heads.kv * config.headDim;
    this.#rotate(workspace.keys, i * keyWidth, this.heads.kv, i);
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
