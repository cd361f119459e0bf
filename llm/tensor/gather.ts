import type { PynqLlmError } from '../../errors/index.js';
import type { Rows } from './cut.js';

/** How boards that compute a model together give each other their results. Used on the device's thread: every call blocks, with a deadline. */
export interface Gather {
  /** This board among them, from 0 on: the first one has the engine. */
  readonly member: number;
  readonly members: number;
  /** Most bytes of a message. */
  readonly capacity: number;
  /** From here on exchanges belong to this batch: all members have the same batches in the same order. */
  begin(batch: number): void;
  /**
   * Gives `own` to all others, and waits for theirs.
   * @param sizes bytes that each member sends, in their order
   * @returns what each member sent, the own part among them, until the next call
   * @throws PynqLlmError FLEET_TENSOR_SILENT, FLEET_TENSOR_ENDED, FLEET_TENSOR_OUT_OF_STEP
   */
  toAll(own: Uint8Array, sizes: readonly number[]): readonly Uint8Array[];
  /**
   * The same to the first member alone: nobody else waits.
   * @returns what each member sent where this is the first one
   */
  toFirst(own: Uint8Array, sizes: readonly number[]): readonly Uint8Array[] | undefined;
  /** Ends it for all: whoever waits is told. */
  end(): void;
  /** Why nothing is exchanged any more, once that is so. */
  readonly ended: PynqLlmError | undefined;
}

/** Bytes of values on the wire. */
type BytesOf = (values: number) => number;

/** Puts together what all members have computed of some rows, column by column. */
export class RowGather {
  readonly #sizes: readonly number[];
  readonly #offsets: readonly number[];
  /** Of a column with all rows. */
  readonly #columnBytes: number;
  /** Columns that go in one message. */
  readonly #columns: number;

  /**
   * @param rows of each member, one after another
   * @param bytesOf whole numbers for each first and count
   */
  constructor(
    readonly gather: Gather,
    rows: readonly Rows[],
    bytesOf: BytesOf,
  ) {
    this.#sizes = rows.map(({ count }) => bytesOf(count));
    this.#offsets = rows.map(({ first }) => bytesOf(first));
    this.#columnBytes = this.#sizes.reduce((sum, size) => sum + size, 0);
    this.#columns = Math.max(1, Math.floor(gather.capacity / Math.max(...this.#sizes)));
  }

  /**
   * @param own rows of `n` columns, column after column
   * @param to receives all rows of `n` columns; the same memory as `own` is none
   */
  toAll(own: Uint8Array, n: number, to: Uint8Array): void {
    this.#inMessages(n, (first, count) => {
      const parts = this.gather.toAll(this.#part(own, first, count), this.#sizesOf(count));
      this.#place(parts, first, count, to);
    });
  }

  /** The same to the first member alone: others leave `to` as it is. */
  toFirst(own: Uint8Array, n: number, to: Uint8Array): void {
    this.#inMessages(n, (first, count) => {
      const parts = this.gather.toFirst(this.#part(own, first, count), this.#sizesOf(count));
      if (parts !== undefined) this.#place(parts, first, count, to);
    });
  }

  #inMessages(n: number, send: (first: number, count: number) => void): void {
    for (let first = 0; first < n; first += this.#columns) send(first, Math.min(this.#columns, n - first));
  }

  #part(own: Uint8Array, first: number, count: number): Uint8Array {
    const size = this.#sizes[this.gather.member];
    return own.subarray(first * size, (first + count) * size);
  }

  #sizesOf(count: number): number[] {
    return this.#sizes.map((size) => size * count);
  }

  #place(parts: readonly Uint8Array[], first: number, count: number, to: Uint8Array): void {
    for (const [member, part] of parts.entries()) {
      const size = this.#sizes[member];
      for (let column = 0; column < count; column++)
        to.set(
          part.subarray(column * size, (column + 1) * size),
          (first + column) * this.#columnBytes + this.#offsets[member],
        );
    }
  }
}

/** The bytes of some of the first values. */
export function bytesOfFloats(values: Float32Array, count: number): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, 4 * count);
}
