import { type GgmlType, gridOf, MOST_GRID_BYTES, Q8K_BYTES, SUPER_BLOCK } from '../../gguf/index.js';
import { type KernelMemory, wholeLines } from '../kernels/kernels.js';

/** Of kernels: a block of 32 activations (assembly/q8small.ts). */
const SMALL = 32;
const SMALL_BYTES = 40;

/**
 * The columns that matrices are multiplied with, in the form that each type of weights wants, converted once, and the row of
 * weights at hand.
 */
export class MatrixInput {
  /** The row at hand as float32: the first values of it count. */
  readonly row: Float32Array;
  /** The row at hand as in the file: none takes more than one of halves. */
  readonly #packedRow: Uint8Array;
  /** Points of the type at hand that stands for such. */
  readonly #grid: Int8Array;
  #gridType: GgmlType | undefined;
  readonly #memory: KernelMemory;
  /** Columns rounded to halves or to bfloat16, or as blocks of 32: one form at a time. */
  readonly #rounded: Float32Array;
  readonly #results: Float32Array;
  readonly #blocks: Uint8Array;
  #floats: Float32Array = new Float32Array(0);
  #count = 0;
  #hasBlocks = false;
  #roundedTo: 'none' | 'halves' | 'bfloats' | 'small blocks' = 'none';

  /** Bytes of kernel memory. @param widest the longest row @param maxColumns the most columns at a time */
  static bytes(widest: number, maxColumns: number): number {
    const capacity = widest * maxColumns;
    const floats = [roundedFloats(capacity), widest, maxColumns].reduce(
      (sum, n) => sum + wholeLines(4 * n),
      0,
    );
    return (
      floats + [2 * widest, MOST_GRID_BYTES, blockBytes(capacity)].reduce((sum, n) => sum + wholeLines(n), 0)
    );
  }

  /** @param memory has room for {@link bytes} */
  constructor(memory: KernelMemory, widest: number, maxColumns: number) {
    const capacity = widest * maxColumns;
    this.#memory = memory;
    this.row = memory.floats(widest);
    this.#packedRow = memory.bytes(2 * widest);
    const grid = memory.bytes(MOST_GRID_BYTES);
    this.#grid = new Int8Array(grid.buffer, grid.byteOffset, grid.length);
    this.#rounded = memory.floats(roundedFloats(capacity));
    this.#results = memory.floats(maxColumns);
    this.#blocks = memory.bytes(blockBytes(capacity));
  }

  /** Where a kernel that makes the next columns may leave them as Q8_K. */
  get blocksAddress(): number {
    return this.#blocks.byteOffset;
  }

  /**
   * Takes the first `count` values of `floats`, columns one after another in kernel memory, where they stay.
   * @param hasBlocks whether they are already quantised, at {@link blocksAddress}
   */
  set(floats: Float32Array, count: number, hasBlocks: boolean): void {
    this.#floats = floats;
    this.#count = count;
    this.#hasBlocks = hasBlocks;
    this.#roundedTo = 'none';
  }

  /** Q8_K blocks, column after column. */
  get blocks(): Uint8Array {
    if (!this.#hasBlocks)
      this.#memory.kernels.quantizeQ8K(this.#floats.byteOffset, this.#count, this.#blocks.byteOffset);
    this.#hasBlocks = true;
    return this.#blocks.subarray(0, blockBytes(this.#count));
  }

  /**
   * A row of `length` halves or bfloat16 times the first `n` columns, rounded alike; {@link multiplyRow} for the result.
   * @param bytes the row as in the file
   */
  multiplyRounded(bytes: Uint8Array, length: number, n: number, form: 'halves' | 'bfloats'): Float32Array {
    const { kernels } = this.#memory;
    this.#packedRow.set(bytes);
    const [from, to] = [this.#packedRow.byteOffset, this.row.byteOffset];
    if (form === 'halves') kernels.decodeHalves(from, to, length);
    else kernels.decodeBfloats(from, to, length);
    return this.#multiply(this.#round(form), length, n);
  }

  /** A row of blocks of 32 of a type times the first `n` columns, as blocks of 32 too; {@link multiplyRow} for the result. */
  multiplySmall(type: number, bytes: Uint8Array, length: number, n: number): Float32Array {
    this.#packedRow.set(bytes);
    this.#memory.kernels.multiplySmallRow(
      type,
      this.#packedRow.byteOffset,
      length / SMALL,
      this.#round('small blocks'),
      n,
      this.#results.byteOffset,
    );
    return this.#results;
  }

  /** A row of super-blocks without mins times the first `n` columns as Q8_K; {@link multiplyRow} for the result. */
  multiplySuper(type: GgmlType, bytes: Uint8Array, length: number, n: number): Float32Array {
    this.#packedRow.set(bytes);
    const grid = gridOf(type);
    if (grid !== undefined && type !== this.#gridType) {
      this.#grid.set(grid);
      this.#gridType = type;
    }
    this.#memory.kernels.multiplySuperRow(
      type,
      this.#packedRow.byteOffset,
      length / SUPER_BLOCK,
      this.blocks.byteOffset,
      n,
      this.#grid.byteOffset,
      this.#results.byteOffset,
    );
    return this.#results;
  }

  /**
   * The row at hand as float32 times the first `n` columns of `length` values, taken as they are.
   * @returns one float32 a column, until the next call
   */
  multiplyRow(length: number, n: number): Float32Array {
    return this.#multiply(this.#floats.byteOffset, length, n);
  }

  #multiply(columns: number, length: number, n: number): Float32Array {
    const { kernels } = this.#memory;
    kernels.multiplyRow(this.row.byteOffset, columns, n, length, this.#results.byteOffset);
    return this.#results;
  }

  /** Where the columns are in a form. */
  #round(form: 'halves' | 'bfloats' | 'small blocks'): number {
    const { kernels } = this.#memory;
    const [from, to] = [this.#floats.byteOffset, this.#rounded.byteOffset];
    if (this.#roundedTo === form) return to;
    if (form === 'halves') kernels.roundToHalves(from, to, this.#count);
    else if (form === 'bfloats') kernels.roundToBfloats(from, to, this.#count);
    else kernels.quantizeQ8Small(from, this.#count, to);
    this.#roundedTo = form;
    return to;
  }
}

function blockBytes(values: number): number {
  return Math.ceil(values / SUPER_BLOCK) * Q8K_BYTES;
}

/** Columns of halves are float32; blocks of 32 take less. */
function roundedFloats(capacity: number): number {
  return Math.max(capacity, Math.ceil((capacity / SMALL) * SMALL_BYTES) / 4);
}
