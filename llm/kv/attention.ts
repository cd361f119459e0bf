import { type KernelMemory, wholeLines } from '../kernels/kernels.js';
import type { ThreadPool } from '../threads/thread-pool.js';
import { type KvLayout, PAGE_TOKENS } from './layout.js';

/** Words before those of the columns, and of each column: assembly/attention.ts. */
const COLUMNS_AT = 8;
const COLUMN_WORDS = 4;

/** What differs from layer to layer, and from family to family. */
export interface AttentionOptions {
  /** Factor of the scores, a float32. */
  readonly scale: number;
  /** How many of the last tokens a column sees, its own among them; 0 for all. */
  readonly window: number;
  /** tanh bound of the scores, a float32; 0 for none. */
  readonly cap: number;
}

/** What the attention of the columns of a step works on, beside the pages: their queries, tables of pages and results. */
export class Attention {
  readonly #layout: KvLayout;
  readonly #memory: KernelMemory;
  readonly #threads: ThreadPool;
  readonly #args: Uint32Array;
  readonly #floatArgs: Float32Array;
  /** What a LLaMA model has. */
  readonly #plain: AttentionOptions;
  readonly #queries: Float32Array;
  readonly #out: Float32Array;
  /** Of each column two words a page. */
  readonly #tables: Uint32Array;
  readonly #tableWords: number;
  readonly #scratch: Uint8Array;
  readonly #scratchBytes: number;

  /** Bytes of kernel memory. */
  static bytes(layout: KvLayout, maxTokens: number, maxColumns: number, threads: number): number {
    const floats = [COLUMNS_AT + COLUMN_WORDS * maxColumns, ...widths(layout, maxTokens, maxColumns)];
    const scratch = threads * wholeLines(layout.scratchBytes(maxTokens));
    return floats.reduce((sum, length) => sum + wholeLines(4 * length), scratch);
  }

  /** @param memory has room for {@link bytes} */
  constructor(
    layout: KvLayout,
    memory: KernelMemory,
    maxTokens: number,
    maxColumns: number,
    threads: ThreadPool,
  ) {
    const { heads, kvHeads, headDim } = layout.shape;
    const [queries, out, tables] = widths(layout, maxTokens, maxColumns);
    this.#layout = layout;
    this.#memory = memory;
    this.#threads = threads;
    this.#args = memory.words(COLUMNS_AT + COLUMN_WORDS * maxColumns);
    this.#queries = memory.floats(queries);
    this.#out = memory.floats(out);
    this.#tables = memory.words(tables);
    this.#tableWords = tables / maxColumns;
    this.#scratchBytes = wholeLines(layout.scratchBytes(maxTokens));
    this.#scratch = memory.bytes(threads.size * this.#scratchBytes);
    this.#args.set([0, layout.type === 'int8' ? 1 : 0, kvHeads, heads / kvHeads, headDim]);
    this.#plain = { scale: Math.fround(1 / Math.fround(Math.sqrt(headDim))), window: 0, cap: 0 };
    this.#floatArgs = new Float32Array(this.#args.buffer, this.#args.byteOffset, COLUMNS_AT);
  }

  /**
   * Makes a column of the next {@link run}.
   * @param table two words for every page before its own, whose keys and values of the group's first layer begin at `keys` and `values`
   * @param firstPage that the layer looks at
   * @param queries heads * headDim float32 from `at` on, rotated
   */
  set(
    column: number,
    position: number,
    table: Uint32Array,
    firstPage: number,
    keys: number,
    values: number,
    queries: Float32Array,
    at: number,
  ): void {
    const width = this.#layout.shape.heads * this.#layout.shape.headDim;
    const before = 2 * Math.floor(position / PAGE_TOKENS);
    const tableAt = column * this.#tableWords;
    this.#tables.set(table.subarray(2 * firstPage, before), tableAt + 2 * firstPage);
    this.#tables[tableAt + before] = keys;
    this.#tables[tableAt + before + 1] = values;
    this.#queries.set(queries.subarray(at, at + width), column * width);
    const args = COLUMNS_AT + column * COLUMN_WORDS;
    this.#args[args] = this.#queries.byteOffset + 4 * column * width;
    this.#args[args + 1] = this.#tables.byteOffset + 4 * tableAt;
    this.#args[args + 2] = this.#out.byteOffset + 4 * column * width;
    this.#args[args + 3] = position + 1;
  }

  /**
   * Attention of the first `n` columns, shared among the threads.
   * @param out receives their results, one after another
   * @param options of the layer; LLaMA's unless given
   * @throws PynqLlmError LLM_THREAD_LOST
   */
  run(layer: number, n: number, out: Float32Array, { scale, window, cap } = this.#plain): void {
    const { kvHeads, heads, headDim } = this.#layout.shape;
    this.#args[0] = this.#layout.placeOf(layer).slot;
    this.#floatArgs[5] = scale;
    this.#args[6] = window;
    this.#floatArgs[7] = cap;
    this.#threads.run({
      kernel: 'attend',
      memory: this.#memory,
      args: this.#args.byteOffset,
      units: n * kvHeads,
      scratch: this.#scratch.byteOffset,
      scratchBytes: this.#scratchBytes,
    });
    const values = n * heads * headDim;
    out.set(this.#out.subarray(0, values));
  }
}

/** Values of queries, results and tables. */
function widths({ shape }: KvLayout, maxTokens: number, maxColumns: number): [number, number, number] {
  const width = maxColumns * shape.heads * shape.headDim;
  return [width, width, maxColumns * 2 * Math.ceil(maxTokens / PAGE_TOKENS)];
}
