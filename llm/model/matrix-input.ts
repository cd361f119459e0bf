import { Q8K_BYTES, SUPER_BLOCK } from '../../gguf/index.js';
import { type KernelMemory, wholeLines } from '../kernels/kernels.js';

/**
 * The columns that matrices are multiplied with, in the form that each type of weights wants, converted once, and the row of
 * weights at hand.
 */
export class MatrixInput {
  /** The row at hand: the first values of it count. */
  readonly row: Float32Array;
  readonly #memory: KernelMemory;
  readonly #halfRow: Uint16Array;
  /** Columns rounded to halves, one after another. */
  readonly #halves: Float32Array;
  readonly #results: Float32Array;
  readonly #blocks: Uint8Array;
  #floats: Float32Array = new Float32Array(0);
  #count = 0;
  #hasBlocks = false;
  #hasHalves = false;

  /** Bytes of kernel memory. @param widest the longest row @param maxColumns the most columns at a time */
  static bytes(widest: number, maxColumns: number): number {
    const capacity = widest * maxColumns;
    const floats = [capacity, widest, widest, maxColumns].reduce((sum, n) => sum + wholeLines(4 * n), 0);
    return floats + wholeLines(blockBytes(capacity));
  }

  /** @param memory has room for {@link bytes} */
  constructor(memory: KernelMemory, widest: number, maxColumns: number) {
    const capacity = widest * maxColumns;
    this.#memory = memory;
    this.row = memory.floats(widest);
    this.#halfRow = memory.halves(widest);
    this.#halves = memory.floats(capacity);
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
    this.#hasHalves = false;
  }

  /** Q8_K blocks, column after column. */
  get blocks(): Uint8Array {
    if (!this.#hasBlocks)
      this.#memory.kernels.quantizeQ8K(this.#floats.byteOffset, this.#count, this.#blocks.byteOffset);
    this.#hasBlocks = true;
    return this.#blocks.subarray(0, blockBytes(this.#count));
  }

  /** Makes a row of halves the row at hand. */
  setHalfRow(bits: Uint16Array): void {
    this.#halfRow.set(bits);
    this.#memory.kernels.decodeHalves(this.#halfRow.byteOffset, this.row.byteOffset, bits.length);
  }

  /**
   * The row at hand times the first `n` columns of `length` values, taken as they are or rounded to halves.
   * @returns one float32 a column, until the next call
   */
  multiplyRow(length: number, n: number, form: 'floats' | 'halves'): Float32Array {
    const columns = form === 'halves' ? this.#rounded() : this.#floats;
    this.#memory.kernels.multiplyRow(
      this.row.byteOffset,
      columns.byteOffset,
      n,
      length,
      this.#results.byteOffset,
    );
    return this.#results;
  }

  #rounded(): Float32Array {
    if (!this.#hasHalves) {
      this.#memory.kernels.roundToHalves(this.#floats.byteOffset, this.#halves.byteOffset, this.#count);
    }
    this.#hasHalves = true;
    return this.#halves;
  }
}

function blockBytes(values: number): number {
  return Math.ceil(values / SUPER_BLOCK) * Q8K_BYTES;
}
