import { Constraints } from '../../constraint/index.js';
import type { PlacementReport, WeightOrigins } from '../../driver/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { CoreTypesSetting } from '../core-form/index.js';
import { KvCache } from '../kv/cache.js';
import type { KvShape } from '../kv/layout.js';
import { KvPool, type KvPoolOptions, type KvStats } from '../kv/pool.js';
import type { ThreadPool } from '../threads/thread-pool.js';
import type { Tokenizer } from '../tokenizer/index.js';
import type { Column } from './column.js';
import type { ModelConfig } from './config.js';
import type { Cost } from './cost.js';
import type { Embedding } from './embedding.js';
import type { Layer } from './layer.js';
import type { MatrixGroup } from './linear-group.js';
import type { Norm } from './norm.js';
import type { Rope } from './rope.js';
import type { Workspace } from './workspace.js';

/** More than a step ever has. */
const MOST_COLUMNS = 2 ** 16;

/** What {@link loadModel} puts together. */
export interface ModelParts {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly placement: PlacementReport;
  readonly coreTypes: CoreTypesSetting;
  readonly weights: WeightOrigins;
  readonly contextLength: number;
  readonly kv: Pick<KvPoolOptions, 'type' | 'bytes'> & { readonly shape: KvShape };
  readonly embedding: Embedding;
  /** Learned positions, which are added to embeddings. */
  readonly positions: Embedding | undefined;
  readonly rope: Rope;
  /** RoPE of layers with a window, where it is another one. */
  readonly windowRope: Rope | undefined;
  readonly layers: readonly Layer[];
  readonly outputNorm: Norm;
  /** normed -> logits */
  readonly output: MatrixGroup;
  readonly workspace: Workspace;
  /** Ended with the model. */
  readonly threads: ThreadPool;
  /** Running totals of what the model has cost. */
  readonly cost: () => Cost;
  /** Gives back device memory. */
  readonly unload: () => void;
}

/**
 * A loaded model. One step of computation is {@link forward}; everything is synchronous and a model is used from one
 * thread. Results of a column do not depend on what else is in the step, to the bit.
 */
export class Model {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  /** Where every matrix is computed, and why. */
  readonly placement: PlacementReport;
  /** Which matrices were to go to the core. */
  readonly coreTypes: CoreTypesSetting;
  /** Where the core's weights came from. */
  readonly weights: WeightOrigins;
  /** The longest sequence, in tokens. */
  readonly contextLength: number;
  /** Forms that texts of this model can be kept to. */
  readonly constraints: Constraints;
  readonly #parts: ModelParts;
  /** By columns and how many of them want logits, where it was asked for. */
  readonly #coreCycles = new Map<number, number>();
  #kvPool: KvPool | undefined;
  #closed = false;

  constructor(parts: ModelParts) {
    this.#parts = parts;
    this.config = parts.config;
    this.tokenizer = parts.tokenizer;
    this.placement = parts.placement;
    this.coreTypes = parts.coreTypes;
    this.weights = parts.weights;
    this.contextLength = parts.contextLength;
    this.constraints = new Constraints(parts.tokenizer);
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
      cycles = output.coreCycles(wanted);
      for (const layer of layers)
        cycles += layer === layers.at(-1) ? layer.coreCycles(n, wanted) : layer.coreCycles(n);
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

  /** How the memory of keys and values is used, once there is one. */
  get kvStats(): KvStats | undefined {
    return this.#kvPool?.stats;
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
    return new KvCache(this.kvPool, maxTokens);
  }

  /**
   * Feeds `columns` and fills the logits of those that want them. Tokens of one sequence come in order. After an error
   * every cache is as it was before the first of its columns.
   *
   * @throws PynqLlmError LLM_MODEL_CLOSED, LLM_TOKEN_RANGE, LLM_POSITION_RANGE, LLM_KV_FULL, LLM_THREAD_LOST, DRIVER_*,
   *   GGUF_READ_FAILED
   */
  forward(columns: readonly Column[]): void {
    if (this.#closed)
      throw new PynqLlmError('LLM_MODEL_CLOSED', `The model ${this.config.name} has been closed.`);
    for (const column of columns) this.checkToken(column.token);
    let reserved = 0;
    try {
      for (; reserved < columns.length; reserved++) {
        const { cache, position, token } = columns[reserved];
        cache.extendTo(position, token);
      }
      for (let first = 0; first < columns.length; first += this.maxColumns) {
        this.#pass(columns, first, Math.min(this.maxColumns, columns.length - first));
      }
    } catch (error) {
      for (let i = 0; i < reserved; i++) columns[i].cache.truncate(columns[i].position);
      throw error;
    }
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

  #pass(columns: readonly Column[], first: number, n: number): void {
    const { layers, workspace } = this.#parts;
    for (let i = 0; i < n; i++) this.#enter(columns[first + i], i);
    workspace.hasUpdate = false;
    const last = layers.length - 1;
    for (let i = 0; i < last; i++) layers[i].forward(columns, first, n);
    const wanted = layers[last].forwardLast(columns, first, n);
    if (wanted > 0) this.#computeLogits(columns, first, n, wanted);
  }

  /** Makes a column the `i`th of the residual stream, and the angles of its position. */
  #enter({ token, position }: Column, i: number): void {
    const { embedding, positions, rope, windowRope, workspace, config } = this.#parts;
    const { hidden, normed, angles, windowAngles } = workspace;
    const { embedding: width, scales } = config;
    const at = i * width;
    embedding.lookUp(token, hidden, at);
    if (scales.embedding !== 1)
      for (let value = at; value < at + width; value++) hidden[value] *= scales.embedding;
    if (positions !== undefined) {
      positions.lookUp(position, normed, 0);
      for (let value = 0; value < width; value++) hidden[at + value] += normed[value];
    }
    rope.fillAngles(position, angles, i * rope.rowLength);
    windowRope?.fillAngles(position, windowAngles, i * windowRope.rowLength);
  }

  /** The output matrix is the largest of a small model: only the `wanted` columns that want logits go through it. */
  #computeLogits(columns: readonly Column[], first: number, n: number, wanted: number): void {
    const { workspace, config, outputNorm, output } = this.#parts;
    const to = output.blocksAddress;
    workspace.normalize(outputNorm, wanted, to);
    output.multiply(workspace.normed, wanted, to !== 0);
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
