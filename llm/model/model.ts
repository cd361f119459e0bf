import { Constraints } from '../../constraint/index.js';
import type { PlacementReport, WeightOrigins } from '../../driver/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { CoreTypesSetting } from '../core-form/index.js';
import { KvCache } from '../kv/cache.js';
import type { KvShape } from '../kv/layout.js';
import type { HeldPages } from '../kv/page-changes.js';
import { KvPool, type KvPoolOptions, type KvStats, type PoolRecorder } from '../kv/pool.js';
import type { MemberGraph } from '../tensor/member-graph.js';
import type { ThreadPool } from '../threads/thread-pool.js';
import type { Tokenizer } from '../tokenizer/index.js';
import type { Column } from './column.js';
import type { ModelConfig } from './config.js';
import type { Cost } from './cost.js';
import type { Embedding } from './embedding.js';
import type { StepFaults } from './forward-again.js';
import type { Layer } from './layer.js';
import type { LayerRange } from './layer-range.js';
import type { MatrixGroup } from './linear-group.js';
import type { Norm } from './norm.js';
import type { Rope } from './rope.js';
import type { Workspace } from './workspace.js';

/** More than a step ever has. */
const MOST_COLUMNS = 2 ** 16;

/** Makes caches that tell it what happens to them, and is told what else happens to their pool. */
export interface CacheMaker extends PoolRecorder {
  newCache(pool: KvPool, maxTokens: number): KvCache;
}

/** What {@link loadModel} puts together. */
export interface ModelParts {
  readonly config: ModelConfig;
  readonly range: LayerRange;
  /** Of the last layers only. */
  readonly tokenizer: Tokenizer | undefined;
  readonly placement: PlacementReport;
  readonly coreTypes: CoreTypesSetting;
  readonly weights: WeightOrigins;
  readonly contextLength: number;
  readonly kv: Pick<KvPoolOptions, 'type' | 'bytes' | 'common'> & { readonly shape: KvShape };
  /** Of the first layers only. */
  readonly embedding: Embedding | undefined;
  /** Learned positions, which are added to embeddings. */
  readonly positions: Embedding | undefined;
  readonly rope: Rope;
  /** RoPE of layers with a window, where it is another one. */
  readonly windowRope: Rope | undefined;
  readonly layers: readonly Layer[];
  /** normed -> logits; of the last layers only. */
  readonly output: { readonly norm: Norm; readonly matrix: MatrixGroup } | undefined;
  readonly workspace: Workspace;
  /** Where other boards have rows of its matrices. */
  readonly member: MemberGraph | undefined;
  /** Ended with the model. */
  readonly threads: ThreadPool;
  /** Running totals of what the model has cost. */
  readonly cost: () => Cost;
  /** Gives back device memory. */
  readonly unload: () => void;
}

/**
 * A loaded model, or some of its layers. One step of computation is {@link forward}, or of a part {@link extend} and
 * {@link compute}; everything is synchronous and a model is used from one thread. Results of a column do not depend on what else
 * is in the step, to the bit.
 */
export class Model {
  readonly config: ModelConfig;
  /** The layers that are here. */
  readonly range: LayerRange;
  /** Where every matrix is computed, and why. */
  readonly placement: PlacementReport;
  /** Which matrices were to go to the core. */
  readonly coreTypes: CoreTypesSetting;
  /** Where the core's weights came from. */
  readonly weights: WeightOrigins;
  /** The longest sequence, in tokens. */
  readonly contextLength: number;
  #constraints: Constraints | undefined;
  readonly #parts: ModelParts;
  /** By columns and how many of them want logits, where it was asked for. */
  readonly #coreCycles = new Map<number, number>();
  #kvPool: KvPool | undefined;
  #recorder: CacheMaker | undefined;
  #closed = false;

  constructor(parts: ModelParts) {
    this.#parts = parts;
    this.config = parts.config;
    this.range = parts.range;
    this.placement = parts.placement;
    this.coreTypes = parts.coreTypes;
    this.weights = parts.weights;
    this.contextLength = parts.contextLength;
  }

  /** Whether logits come out of it. */
  get isLast(): boolean {
    return this.range.to === this.config.layers;
  }

  /** @throws PynqLlmError LLM_STAGE_RANGE where the last layers are elsewhere */
  get tokenizer(): Tokenizer {
    const { tokenizer, range } = this.#parts;
    if (tokenizer !== undefined) return tokenizer;
    const { from, to } = range;
    const { layers } = this.config;
    throw new PynqLlmError(
      'LLM_STAGE_RANGE',
      `Texts are made where the last layers are; here are the layers ${from} to ${to} of ${layers}.`,
      { context: { from, to, layers } },
    );
  }

  /** Forms that texts of this model can be kept to. @throws PynqLlmError as `tokenizer` */
  get constraints(): Constraints {
    this.#constraints ??= new Constraints(this.tokenizer);
    return this.#constraints;
  }

  /** Columns that go through the matrices together; more are taken in several passes. */
  get maxColumns(): number {
    return this.#parts.workspace.maxColumns;
  }

  /** Running totals of device traffic and of work; differences are the cost of what was done in between. */
  cost(): Cost {
    return this.#parts.cost();
  }

  /** Core cycles of a step of `n` columns of which `wanted` want logits, in the board's timing. */
  coreCycles(n: number, wanted = n): number {
    const { layers, output } = this.#parts;
    const key = n * MOST_COLUMNS + wanted;
    let cycles = this.#coreCycles.get(key);
    if (cycles === undefined) {
      cycles = output?.matrix.coreCycles(wanted) ?? 0;
      for (const layer of layers)
        cycles += this.isLast && layer === layers.at(-1) ? layer.coreCycles(n, wanted) : layer.coreCycles(n);
      this.#coreCycles.set(key, cycles);
    }
    return cycles;
  }

  /** Keys and values of all sequences; made when it is first used. @throws PynqLlmError LLM_KV_MEMORY, LLM_KV_TYPE */
  get kvPool(): KvPool {
    const { kv, threads } = this.#parts;
    const { contextLength, maxColumns } = this;
    this.#kvPool ??= new KvPool(kv.shape, { ...kv, contextLength, maxColumns, threads });
    return this.#kvPool;
  }

  /** Where other boards have rows of its matrices: matrices at which the device failed, and those that it then computed. */
  get partFaults(): StepFaults | undefined {
    return this.#parts.member?.faults;
  }

  /** How the memory of keys and values is used, once there is one. */
  get kvStats(): KvStats | undefined {
    return this.#kvPool?.stats;
  }

  /** Complete pages of keys and values that are kept, by their hashes: see KvPool.heldPages. */
  heldPages(since?: number): HeldPages {
    return this.#kvPool?.heldPages(since) ?? { version: 0, isWhole: true, added: [], removed: [] };
  }

  /**
   * A cache for one sequence of at most `maxTokens` tokens, to be released after use.
   * @throws PynqLlmError LLM_CONTEXT_LENGTH, LLM_KV_MEMORY, LLM_KV_TYPE
   */
  newCache(maxTokens = this.contextLength): KvCache {
    if (!Number.isInteger(maxTokens) || maxTokens < 1 || maxTokens > this.contextLength) {
      throw new PynqLlmError(
        'LLM_CONTEXT_LENGTH',
        `A cache of ${maxTokens} tokens was asked for; the context length is ${this.contextLength}.`,
        { context: { maxTokens, contextLength: this.contextLength } },
      );
    }
    const { kvPool } = this;
    return this.#recorder?.newCache(kvPool, maxTokens) ?? new KvCache(kvPool, maxTokens);
  }

  /** Has somebody told of all that happens to keys and values from now on. */
  record(recorder: CacheMaker): void {
    this.#recorder = recorder;
    this.kvPool.recorder = recorder;
  }

  /**
   * Feeds `columns` and fills the logits of those that want them. Tokens of one sequence come in order. After an error
   * every cache is as it was before the first of its columns.
   *
   * @throws PynqLlmError LLM_MODEL_CLOSED, LLM_TOKEN_RANGE, LLM_POSITION_RANGE, LLM_KV_FULL, LLM_THREAD_LOST, DRIVER_*,
   *   GGUF_READ_FAILED, LLM_STAGE_BATCH where this is but a part of a model
   */
  forward(columns: readonly Column[]): void {
    this.extend(columns);
    try {
      this.compute(columns);
    } catch (error) {
      undo(columns, columns.length);
      throw error;
    }
  }

  /**
   * Makes places for the tokens of `columns` in their caches, or none.
   * @throws PynqLlmError LLM_MODEL_CLOSED, LLM_TOKEN_RANGE, LLM_POSITION_RANGE, LLM_KV_FULL
   */
  extend(columns: readonly Column[]): void {
    this.#checkOpen();
    for (const column of columns) this.checkToken(column.token);
    let extended = 0;
    try {
      for (; extended < columns.length; extended++) {
        const { cache, position, token } = columns[extended];
        cache.extendTo(position, token);
      }
    } catch (error) {
      undo(columns, extended);
      throw error;
    }
  }

  /**
   * Takes columns whose places are made through the layers, and fills the logits of those that want them where the last layer is
   * here. May be done again after an error, with the same bits.
   * @param hidden what the layers before left: embedding values a column; nothing where the first layer is here
   * @returns the same after these layers, where others come after them
   * @throws PynqLlmError LLM_MODEL_CLOSED, LLM_STAGE_BATCH, LLM_THREAD_LOST, DRIVER_*, GGUF_READ_FAILED
   */
  compute(columns: readonly Column[], hidden?: Float32Array): Float32Array | undefined {
    this.#checkOpen();
    this.checkHidden(columns.length, hidden);
    const { embedding } = this.config;
    const out = this.isLast ? undefined : new Float32Array(columns.length * embedding);
    for (let first = 0; first < columns.length; first += this.maxColumns) {
      const n = Math.min(this.maxColumns, columns.length - first);
      this.#computePass(columns, first, n, hidden);
      if (out === undefined) continue;
      const { workspace } = this.#parts;
      workspace.addUpdate(n * embedding);
      out.set(workspace.hidden.subarray(0, n * embedding), first * embedding);
    }
    return out;
  }

  #computePass(columns: readonly Column[], first: number, n: number, hidden: Float32Array | undefined): void {
    try {
      this.#enter(columns, first, n, hidden);
      this.#computeLayers(columns, first, n);
    } catch (error) {
      this.#parts.member?.fail();
      throw error;
    }
  }

  #checkOpen(): void {
    if (this.#closed)
      throw new PynqLlmError('LLM_MODEL_CLOSED', `The model ${this.config.name} has been closed.`);
  }

  /** @throws PynqLlmError LLM_STAGE_BATCH where that is not what the layers before leave of so many columns */
  checkHidden(columns: number, hidden: Float32Array | undefined): void {
    const expected = this.range.from === 0 ? 0 : columns * this.config.embedding;
    const length = hidden?.length ?? 0;
    if (length === expected) return;
    throw new PynqLlmError(
      'LLM_STAGE_BATCH',
      `${columns} columns came with ${length} values of the layers before; these layers need ${expected}.`,
      { context: { columns, values: length, expected } },
    );
  }

  /** @throws PynqLlmError LLM_TOKEN_RANGE */
  checkToken(token: number): void {
    if (Number.isInteger(token) && token >= 0 && token < this.config.vocabSize) return;
    throw new PynqLlmError(
      'LLM_TOKEN_RANGE',
      `The token ${token} is not from 0 to ${this.config.vocabSize - 1}.`,
      {
        context: { token, vocabSize: this.config.vocabSize },
      },
    );
  }

  /** Makes `n` columns from `columns[first]` on the residual stream, and the angles of their positions. */
  #enter(columns: readonly Column[], first: number, n: number, hidden: Float32Array | undefined): void {
    const { rope, windowRope, workspace, config } = this.#parts;
    const { angles, windowAngles } = workspace;
    const { embedding } = config;
    if (hidden !== undefined)
      workspace.hidden.set(hidden.subarray(first * embedding, (first + n) * embedding));
    for (let i = 0; i < n; i++) {
      const column = columns[first + i];
      if (hidden === undefined) this.#embed(column, i * embedding);
      rope.fillAngles(column.position, angles, i * rope.rowLength);
      windowRope?.fillAngles(column.position, windowAngles, i * windowRope.rowLength);
    }
    workspace.hasUpdate = false;
  }

  /** Writes what a column begins with to the residual stream from `at` on. */
  #embed({ token, position }: Column, at: number): void {
    const { embedding, positions, workspace, config } = this.#parts;
    if (embedding === undefined) throw new Error('the first layers have the embedding');
    const { hidden, normed } = workspace;
    const { embedding: width, scales } = config;
    embedding.lookUp(token, hidden, at);
    if (scales.embedding !== 1)
      for (let value = at; value < at + width; value++) hidden[value] *= scales.embedding;
    if (positions === undefined) return;
    positions.lookUp(position, normed, 0);
    for (let value = 0; value < width; value++) hidden[at + value] += normed[value];
  }

  #computeLayers(columns: readonly Column[], first: number, n: number): void {
    const { layers } = this.#parts;
    const last = this.isLast ? layers.length - 1 : layers.length;
    for (let i = 0; i < last; i++) layers[i].forward(columns, first, n);
    if (!this.isLast) return;
    const wanted = layers[last].forwardLast(columns, first, n);
    if (wanted > 0) this.#computeLogits(columns, first, n, wanted);
  }

  /** The output matrix is the largest of a small model: only the `wanted` columns that want logits go through it. */
  #computeLogits(columns: readonly Column[], first: number, n: number, wanted: number): void {
    const { workspace, config, output, member } = this.#parts;
    if (output === undefined) throw new Error('the last layers have the output matrix');
    const { norm, matrix } = output;
    const to = matrix.blocksAddress;
    workspace.normalize(norm, wanted, to);
    matrix.multiply(workspace.normed, wanted, to !== 0);
    if (member?.isFirst === false) return;
    this.#shapeLogits(wanted * config.vocabSize);
    for (let i = 0, from = 0; i < n; i++) {
      const { logits } = columns[first + i];
      if (logits === undefined) continue;
      logits.set(workspace.logits.subarray(from, from + config.vocabSize));
      from += config.vocabSize;
    }
  }

  /** What some families do with logits before anybody sees them. */
  #shapeLogits(count: number): void {
    const { logits, memory } = this.#parts.workspace;
    const { scales, caps } = this.config;
    if (scales.logits !== 1) for (let i = 0; i < count; i++) logits[i] *= scales.logits;
    if (caps.logits !== 0) memory.kernels.cap(logits.byteOffset, count, caps.logits);
  }

  /** Gives back device memory. The model cannot be used afterwards; closing twice is harmless. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#parts.threads.close();
    this.#parts.unload();
  }
}

/** Takes the places of the first columns back. */
function undo(columns: readonly Column[], count: number): void {
  for (let i = 0; i < count; i++) columns[i].cache.truncate(columns[i].position);
}
