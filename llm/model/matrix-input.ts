import { type GgmlType, gridOf, MOST_GRID_BYTES, Q8K_BYTES, SUPER_BLOCK } from '../../gguf/index.js';
import { type KernelMemory, wholeLines } from '../kernels/kernels.js';

/** Of kernels: a block of 32 activations (assembly/q8small.ts). */
const SMALL = 32;

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
  /** Columns rounded to halves or to bfloat16, or as blocks of 32, which take less: one form at a time. */
  readonly #rounded: Float32Array;
  readonly #results: Float32Array;
  readonly #blocks: Uint8Array;
  /** The end of a column that is no whole blocks. */
  readonly #tail: Float32Array;
  #floats: Float32Array = new Float32Array(0);
  #n = 0;
  #columns = 0;
  #hasBlocks = false;
  #roundedTo: 'none' | 'halves' | 'bfloats' | 'small blocks' = 'none';

  /** Bytes of kernel memory. @param widest the longest row @param maxColumns the most columns at a time */
  static bytes(widest: number, maxColumns: number): number {
    const capacity = widest * maxColumns;
    const floats = [capacity, rowFloats(widest), maxColumns, SUPER_BLOCK].reduce(
      (sum, n) => sum + wholeLines(4 * n),
      0,
    );
    const bytes = [2 * widest, MOST_GRID_BYTES, blockBytes(widest, maxColumns)];
    return bytes.reduce((sum, n) => sum + wholeLines(n), floats);
  }

  /** @param memory has room for {@link bytes} */
  constructor(memory: KernelMemory, widest: number, maxColumns: number) {
    const capacity = widest * maxColumns;
    this.#memory = memory;
    this.row = memory.floats(rowFloats(widest));
    this.#packedRow = memory.bytes(2 * widest);
    const grid = memory.bytes(MOST_GRID_BYTES);
    this.#grid = new Int8Array(grid.buffer, grid.byteOffset, grid.length);
    this.#rounded = memory.floats(capacity);
    this.#results = memory.floats(maxColumns);
    this.#tail = memory.floats(SUPER_BLOCK);
    this.#blocks = memory.bytes(blockBytes(widest, maxColumns));
  }

  /** Where a kernel that makes the next columns may leave them as Q8_K. */
  get blocksAddress(): number {
    return this.#blocks.byteOffset;
  }

  /** All of the memory at {@link blocksAddress}. */
  get room(): Uint8Array {
    return this.#blocks;
  }

  /**
   * Takes the first `n` columns of `columns` values each from `floats`, one after another in kernel memory, where they stay.
   * @param hasBlocks whether they are already quantised, at {@link blocksAddress}
   */
  set(floats: Float32Array, n: number, columns: number, hasBlocks: boolean): void {
    this.#floats = floats;
    this.#n = n;
    this.#columns = columns;
    this.#hasBlocks = hasBlocks;
    this.#roundedTo = 'none';
  }

  /** Q8_K blocks, column after column, each padded with zeros to whole blocks. */
  get blocks(): Uint8Array {
    if (!this.#hasBlocks) this.#quantize();
    this.#hasBlocks = true;
    return this.#blocks.subarray(0, blockBytes(this.#columns, this.#n));
  }

  #quantize(): void {
    const { kernels } = this.#memory;
    const [from, to] = [this.#floats.byteOffset, this.#blocks.byteOffset];
    if (this.#columns % SUPER_BLOCK === 0) kernels.quantizeQ8K(from, this.#count, to);
    else kernels.quantizeColumns(from, this.#columns, this.#n, this.#tail.byteOffset, to);
  }

  /** Writes {@link blocks}, each column as often as a row of weights has parts, which all meet the same input. */
  fillBlocks(into: Uint8Array, parts: number): void {
    const { blocks } = this;
    if (parts === 1) {
      into.set(blocks);
      return;
    }
    const bytes = blockBytes(this.#columns, 1);
    for (let from = 0, to = 0; from < blocks.length; from += bytes)
      for (let part = 0; part < parts; part++, to += bytes) into.set(blocks.subarray(from, from + bytes), to);
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

  get #count(): number {
    return this.#n * this.#columns;
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

function blockBytes(columns: number, n: number): number {
  return n * Math.ceil(columns / SUPER_BLOCK) * Q8K_BYTES;
}

/** Rows may be stored with padding. */
function rowFloats(widest: number): number {
  return Math.ceil(widest / SUPER_BLOCK) * SUPER_BLOCK;
}
