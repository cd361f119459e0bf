import { CORE_BLOCK_BYTES, type CoreType, Q8K_BYTES, SUPER_BLOCK } from '../../gguf/index.js';
import { KernelMemory, wholeLines } from '../kernels/kernels.js';
import type { SharedWork, ThreadPool } from '../threads/thread-pool.js';

/** Words before those of the matrices, and of each matrix: assembly/blocks.ts. */
const MATRICES_AT = 4;
const MATRIX_WORDS = 6;
/** Most matrices that are multiplied with one input: Q, K and V. */
const MOST_MATRICES = 3;
/** Rows that a thread takes at a time: a few hundred microseconds on a Cortex-A9. */
const ROWS_PER_UNIT = 8;
const MOST_UNITS = 0xf000;
/** Scratch of a thread beside the columns' sums. */
const SCRATCH_BYTES = 320;
/** More than any matrix has units. */
const NEVER = 0x7fffffff;

/** Rows of K-quant blocks. */
export interface RowsShape {
  readonly coreType: CoreType;
  readonly rows: number;
  readonly columns: number;
}

/** Rows of a matrix that the CPU computes: packed as in the file, from an address in kernel memory on. */
export interface CpuRows extends RowsShape {
  readonly blocks: Uint8Array;
}

/** What the CPU's rows are multiplied with, and how much comes out. */
export interface RowsWork {
  /** Values of the widest input column. */
  readonly widest: number;
  /** Most rows of the CPU that one input is multiplied with. */
  readonly mostRows: number;
  /** Most rows that the core computes of the same matrices. */
  readonly coreRows: number;
}

/** No group has more rows than the few matrices that have the most. */
export function mostOfGroup(rows: readonly number[]): number {
  return rows
    .toSorted((a, b) => b - a)
    .slice(0, MOST_MATRICES)
    .reduce((sum, count) => sum + count, 0);
}

/** What {@link CpuRowsMemory} takes beside the rows themselves, in bytes. */
export function rowsWorkBytes(work: RowsWork, maxColumns: number, threads: number): number {
  // Of one column the core's results go where they belong.
  const coreResults = maxColumns === 1 ? 0 : 4 * work.coreRows * maxColumns;
  return Object.values(workingSizes(work, maxColumns, threads)).reduce(
    (sum, bytes) => sum + wholeLines(bytes),
    coreResults,
  );
}

function workingSizes(
  { widest, mostRows }: Omit<RowsWork, 'coreRows'>,
  maxColumns: number,
  threads: number,
): { input: number; results: number; args: number; scratch: number } {
  return {
    input: maxColumns * (widest / SUPER_BLOCK) * Q8K_BYTES,
    results: 4 * mostRows * maxColumns,
    args: 4 * (MATRICES_AT + MATRIX_WORDS * (MOST_MATRICES + 1)),
    scratch: threads * scratchBytes(maxColumns),
  };
}

/** Of one thread. */
function scratchBytes(maxColumns: number): number {
  return wholeLines(SCRATCH_BYTES + 4 * maxColumns);
}

/** Bytes of the blocks of some rows. */
export function blockBytes({ coreType, rows, columns }: RowsShape): number {
  return rows * (columns / SUPER_BLOCK) * CORE_BLOCK_BYTES[coreType];
}

/**
 * The CPU's rows of a model's matrices, in one memory with the columns that they are multiplied with and the results, so that
 * threads can compute them while the core computes the others, with the core's arithmetic.
 */
export class CpuRowsMemory {
  /** Bytes of weights that there is room for. */
  readonly byteLength: number;
  readonly #threads: ThreadPool;
  readonly #memory: KernelMemory;
  readonly #input: Uint8Array;
  readonly #results: Float32Array;
  readonly #args: Uint32Array;
  readonly #scratch: Uint8Array;
  readonly #scratchBytes: number;
  readonly #coreResults: Float32Array[] = [];

  /**
   * @param shapes all rows that there will be
   * @param mostRows most rows that are multiplied with one input
   * @param maxColumns most columns of input
   */
  constructor(shapes: readonly RowsShape[], mostRows: number, maxColumns: number, threads: ThreadPool) {
    const widest = shapes.reduce((most, { columns }) => Math.max(most, columns), 0);
    const sizes = workingSizes({ widest, mostRows }, maxColumns, threads.size);
    this.#threads = threads;
    this.#scratchBytes = scratchBytes(maxColumns);
    this.byteLength = shapes.reduce((sum, shape) => sum + wholeLines(blockBytes(shape)), 0);
    const working = Object.values(sizes);
    this.#memory = new KernelMemory(working.reduce((sum, bytes) => sum + wholeLines(bytes), this.byteLength));
    this.#input = this.#memory.bytes(sizes.input);
    this.#results = this.#memory.floats(sizes.results / 4);
    this.#args = this.#memory.words(sizes.args / 4);
    this.#scratch = this.#memory.bytes(sizes.scratch);
  }

  /** Room for some rows; their blocks are to be filled. */
  take(shape: RowsShape): CpuRows {
    return { ...shape, blocks: this.#memory.bytes(blockBytes(shape)) };
  }

  /**
   * Begins to multiply `matrices` with `n` columns.
   * @param fill writes their Q8_K blocks, column after column
   * @returns the results of each, n * rows float32 column after column, to be read once the threads have finished
   */
  begin(matrices: readonly CpuRows[], fill: (blocks: Uint8Array) => void, n: number): Float32Array[] {
    fill(this.#input);
    const rows = matrices.reduce((sum, matrix) => sum + matrix.rows, 0);
    const rowsPerUnit = Math.max(ROWS_PER_UNIT, Math.ceil(rows / MOST_UNITS));
    const [{ columns }] = matrices;
    this.#args.set([columns / SUPER_BLOCK, n, this.#input.byteOffset, rowsPerUnit]);
    const results: Float32Array[] = [];
    let units = 0;
    let at = 0;
    for (const [i, matrix] of matrices.entries()) {
      const { coreType, blocks } = matrix;
      const out = this.#results.subarray(at, at + n * matrix.rows);
      const words = [coreType, matrix.rows, blocks.byteOffset, out.byteOffset, matrix.rows, units];
      this.#args.set(words, MATRICES_AT + MATRIX_WORDS * i);
      results.push(out);
      at += n * matrix.rows;
      units += Math.ceil(matrix.rows / rowsPerUnit);
    }
    // Where the scan for a unit's matrix ends.
    this.#args[MATRICES_AT + MATRIX_WORDS * (matrices.length + 1) - 1] = NEVER;
    this.#threads.begin(this.#work(units));
    return results;
  }

  /**
   * Room for the core's results of a step's matrix `i`, `length` float32, where rows of the CPU come between them. It is
   * the same at each step, and grows.
   */
  coreResults(i: number, length: number): Float32Array {
    if ((this.#coreResults[i]?.length ?? 0) < length) this.#coreResults[i] = new Float32Array(length);
    return this.#coreResults[i].subarray(0, length);
  }

  /** Waits for what was begun, and takes part in it. @throws PynqLlmError LLM_THREAD_LOST */
  finish(): void {
    this.#threads.finish();
  }

  #work(units: number): SharedWork {
    return {
      kernel: 'multiplyBlocks',
      memory: this.#memory,
      args: this.#args.byteOffset,
      units,
      scratch: this.#scratch.byteOffset,
      scratchBytes: this.#scratchBytes,
    };
  }
}
