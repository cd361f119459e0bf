import { readFileSync } from 'node:fs';
import { PynqLlmError } from '../errors/index.js';
import { alignUp, BLOCK_FORMATS, type GgmlType, paddedColumns, rowBytes } from '../gguf/index.js';
import { areFinite } from './finite-blocks.js';

/** What is used of WebAssembly: Node has it, but only the browser's type library declares it. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: Kernels };
  readonly Memory: new (pages: { initial: number }) => Memory;
};
interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** The kernels of assembly/quantize.ts; addresses are byte offsets in the memory. */
interface Kernels {
  quantizeRows(
    type: number,
    values: number,
    importance: number,
    columns: number,
    rows: number,
    to: number,
  ): number;
  toFloats(type: number, from: number, to: number, count: number): number;
}

const PAGE_BYTES = 65536;
const VECTOR_BYTES = 16;
/** The kernels' own data lie below. */
const IMPORTANCE_ADDRESS = 8192;
/** Of all that a call needs; a row of a model is a thousandth. */
const MAX_BYTES = 2 ** 30;

/** Exponents of float32 in place: infinities and NaNs have all ones; squares of values from 2^60 on may overflow in a search. */
const NOT_FINITE = 0x7f800000;
const TOO_LARGE = (127 + 60) << 23;

/** Types of tensors that can be quantised. */
export const SOURCE_TYPES: ReadonlySet<number> = new Set([0, 1, 8, 30]);

/** Turns rows of one type of a file into rows of another, with the bits of llama-quantize. */
export class RowQuantizer {
  readonly #memory: Memory;
  readonly #kernels: Kernels;

  constructor() {
    this.#memory = new WebAssembly.Memory({ initial: 1 });
    const module = new WebAssembly.Module(readFileSync(new URL('./quantize.wasm', import.meta.url)));
    this.#kernels = new WebAssembly.Instance(module, { env: { memory: this.#memory } }).exports;
  }

  /**
   * Rows in another type, padded with zeros to whole blocks of it.
   * @param from F32, F16, BF16 or Q8_0
   * @param source whole rows
   * @param importance a weight of each column, or undefined
   * @returns the rows in the other type, until the next call
   * @throws PynqLlmError QUANTIZE_TYPE, QUANTIZE_NOT_FINITE, GGUF_ROW_NOT_WHOLE_BLOCKS
   */
  quantize(
    from: GgmlType,
    source: Uint8Array,
    columns: number,
    to: GgmlType,
    importance?: Float32Array,
  ): Uint8Array {
    const sourceRow = rowBytes(from, columns);
    const rows = source.length / sourceRow;
    const stored = paddedColumns(to, columns);
    const outBytes = rows * rowBytes(to, stored);
    const valuesAt = IMPORTANCE_ADDRESS + alignUp(4 * stored, VECTOR_BYTES);
    const sourceAt = valuesAt + alignUp(4 * rows * stored, VECTOR_BYTES);
    const outAt = sourceAt + alignUp(source.length, VECTOR_BYTES);
    if (outAt + outBytes > MAX_BYTES) throw tooLong(columns);
    this.#grow(outAt + outBytes);
    new Uint8Array(this.#memory.buffer).set(source, sourceAt);
    if (importance !== undefined) {
      const weights = new Float32Array(this.#memory.buffer, IMPORTANCE_ADDRESS, stored);
      weights.fill(0, columns);
      weights.set(importance);
    }
    if (!SOURCE_TYPES.has(from)) throw unknown(from);
    const isPadded = stored !== columns;
    if (isPadded) new Float32Array(this.#memory.buffer, valuesAt, rows * stored).fill(0);
    let exponent = isPadded ? 0 : this.#kernels.toFloats(from, sourceAt, valuesAt, rows * columns);
    for (let row = 0; isPadded && row < rows; row++) {
      const [at, to] = [sourceAt + row * sourceRow, valuesAt + 4 * row * stored];
      exponent = Math.max(exponent, this.#kernels.toFloats(from, at, to, columns));
    }
    if (exponent === NOT_FINITE)
      throw new PynqLlmError('QUANTIZE_NOT_FINITE', 'A weight is infinite or no number.');
    if (exponent >= TOO_LARGE && BLOCK_FORMATS[to].blockSize > 1) throw tooLarge(to);
    const weights = importance === undefined ? 0 : IMPORTANCE_ADDRESS;
    if (this.#kernels.quantizeRows(to, valuesAt, weights, stored, rows, outAt) === 0) throw unknown(to);
    const made = new Uint8Array(this.#memory.buffer, outAt, outBytes);
    if (!areFinite(to, made)) throw tooLarge(to);
    return made;
  }

  #grow(bytes: number): void {
    const missing = bytes - this.#memory.buffer.byteLength;
    if (missing > 0) this.#memory.grow(Math.ceil(missing / PAGE_BYTES));
  }
}

function tooLong(columns: number): PynqLlmError {
  return new PynqLlmError('QUANTIZE_SOURCE', `A row of ${columns} values is too long.`, {
    context: { columns },
  });
}

function tooLarge(type: GgmlType): PynqLlmError {
  return new PynqLlmError('QUANTIZE_NOT_FINITE', `A weight is too large for ${BLOCK_FORMATS[type].name}.`);
}

function unknown(type: GgmlType): PynqLlmError {
  const { name } = BLOCK_FORMATS[type];
  return new PynqLlmError('QUANTIZE_TYPE', `${name} cannot be made, or not be quantised further.`, {
    context: { type: name },
  });
}
