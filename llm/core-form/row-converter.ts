import {
  type ByteSource,
  CORE_BLOCK_BYTES,
  dequantizeRow,
  GgmlType,
  type GgufTensor,
  SUPER_BLOCK,
} from '../../gguf/index.js';
import { KernelMemory, wholeLines } from '../kernels/kernels.js';
import type { CoreForm } from './core-form.js';
import { coreRowOfSuper, isSuperType } from './super-row.js';

/** Values of a small block, and of kernels. */
const SMALL = 32;
const SCRATCH_BYTES = 320;
/** What of the file is read at once, where a row is no longer. */
const CHUNK_BYTES = 64 * 1024;

const Q6K_BYTES = CORE_BLOCK_BYTES[6];

/** Which the kernel turns into float32. */
const DECODED_SMALL: ReadonlySet<GgmlType> = new Set([
  GgmlType.Q4_1,
  GgmlType.Q5_1,
  GgmlType.Q8_0,
  GgmlType.IQ4_NL,
]);

/** Reads `count` rows from row `first` into the start of `into`, as the core multiplies them. */
export type ReadRows = (first: number, count: number, into: Uint8Array) => void;

/** Makes rows of Q6_K from those of other types, a row at a time, in memory that all tensors share. */
export class RowConverter {
  readonly #memory: KernelMemory;
  readonly #row: Uint8Array;
  readonly #floats: Float32Array;
  readonly #out: Uint8Array;
  readonly #scratch: Uint8Array;
  readonly #chunk: Uint8Array;

  /** @param widest values of the longest row */
  constructor(widest: number) {
    const blocks = Math.ceil(widest / SUPER_BLOCK);
    const sizes = [4 * widest, 4 * SUPER_BLOCK * blocks, 2 * Q6K_BYTES * blocks, SCRATCH_BYTES];
    this.#memory = new KernelMemory(sizes.reduce((sum, bytes) => sum + wholeLines(bytes), 0));
    this.#row = this.#memory.bytes(sizes[0]);
    this.#floats = this.#memory.floats(SUPER_BLOCK * blocks);
    this.#out = this.#memory.bytes(sizes[2]);
    this.#scratch = this.#memory.bytes(SCRATCH_BYTES);
    this.#chunk = new Uint8Array(Math.max(CHUNK_BYTES, 4 * widest));
  }

  /**
   * A row in a form.
   * @param row as in the file
   * @returns the super-blocks of the core, until the next row
   */
  convert(
    { type, columns }: Pick<GgufTensor, 'type' | 'columns'>,
    form: CoreForm,
    row: Uint8Array,
  ): Uint8Array {
    const { kernels } = this.#memory;
    const [out, scratch] = [this.#out.byteOffset, this.#scratch.byteOffset];
    const blocks = form.columns / SUPER_BLOCK / form.parts;
    if (type === GgmlType.IQ4_XS) {
      this.#row.set(row);
      kernels.coreRowOfIq4Xs(this.#row.byteOffset, blocks, out, scratch);
    } else if (form.made === 'integers' && isSuperType(type)) {
      coreRowOfSuper(type, row, blocks, this.#out);
    } else if (form.made === 'integers') {
      this.#row.set(row);
      kernels.coreRowOfSmall(type, this.#row.byteOffset, columns / SMALL, blocks, out, scratch);
    } else {
      this.#floats.fill(0, columns, blocks * SUPER_BLOCK);
      this.#decode(type, columns, row);
      kernels.coreRowOfFloats(this.#floats.byteOffset, blocks, form.parts, out, scratch);
    }
    return this.#out.subarray(0, form.parts * blocks * Q6K_BYTES);
  }

  /** Rows of a tensor in a form, read from its file. What is read again gives the same bytes. */
  reader(source: ByteSource, tensor: GgufTensor, form: CoreForm): ReadRows {
    const { byteOffset, rowBytes, type, columns } = tensor;
    const shape = { type, columns };
    const perChunk = Math.max(1, Math.floor(this.#chunk.length / rowBytes));
    return (first, count, into) => {
      let to = 0;
      for (let done = 0; done < count; done += perChunk) {
        const rows = Math.min(perChunk, count - done);
        source.readInto(byteOffset + (first + done) * rowBytes, this.#chunk.subarray(0, rows * rowBytes));
        for (let row = 0; row < rows; row++) {
          const made = this.convert(shape, form, this.#chunk.subarray(row * rowBytes, (row + 1) * rowBytes));
          into.set(made, to);
          to += made.length;
        }
      }
    };
  }

  #decode(type: GgmlType, columns: number, row: Uint8Array): void {
    const { kernels } = this.#memory;
    const [from, to] = [this.#row.byteOffset, this.#floats.byteOffset];
    if (DECODED_SMALL.has(type)) {
      this.#row.set(row);
      kernels.decodeSmall(type, from, columns / SMALL, to, this.#scratch.byteOffset);
    } else if (type === GgmlType.F16) {
      this.#row.set(row);
      kernels.decodeHalves(from, to, columns);
    } else if (type === GgmlType.BF16) {
      this.#row.set(row);
      kernels.decodeBfloats(from, to, columns);
    } else dequantizeRow(type, row, columns, this.#floats);
  }
}
