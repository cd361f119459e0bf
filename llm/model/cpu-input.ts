import { Q8K_BYTES, quantizeQ8K, SUPER_BLOCK } from '../../gguf/index.js';
import { KernelMemory, wholeLines } from '../kernels/kernels.js';

/**
 * The columns that CPU matrices are multiplied with, in the form that each type of weights wants, converted once, and the
 * row of weights at hand.
 */
export class CpuInput {
  /** The row at hand: the first values of it count. */
  readonly row: Float32Array;
  readonly #memory: KernelMemory;
  readonly #halfRow: Uint16Array;
  /** Columns one after another. */
  readonly #floats: Float32Array;
  readonly #halves: Float32Array;
  readonly #results: Float32Array;
  readonly #q8k: Uint8Array;
  #count = 0;
  #hasQ8K = false;
  #hasHalves = false;

  /** @param widest the longest row @param maxColumns the most columns at a time */
  constructor(widest: number, maxColumns: number) {
    const capacity = widest * maxColumns;
    this.#memory = new KernelMemory(
      2 * wholeLines(4 * capacity) + 2 * wholeLines(4 * widest) + wholeLines(4 * maxColumns),
    );
    this.row = this.#memory.floats(widest);
    this.#halfRow = this.#memory.halves(widest);
    this.#floats = this.#memory.floats(capacity);
    this.#halves = this.#memory.floats(capacity);
    this.#results = this.#memory.floats(maxColumns);
    this.#q8k = new Uint8Array(Math.ceil(capacity / SUPER_BLOCK) * Q8K_BYTES);
  }

  /** Takes the first `count` values: columns one after another. */
  set(floats: Float32Array, count: number): void {
    this.#floats.set(floats.subarray(0, count));
    this.#count = count;
    this.#hasQ8K = false;
    this.#hasHalves = false;
  }

  /** Q8_K blocks, column after column. */
  get q8k(): Uint8Array {
    if (!this.#hasQ8K) quantizeQ8K(this.#floats, 0, this.#count, this.#q8k, 0);
    this.#hasQ8K = true;
    return this.#q8k;
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
