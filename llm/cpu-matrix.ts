import {
  type CoreType,
  coreTypeOf,
  dequantizeRow,
  floatToHalf,
  GgmlType,
  type GgufFile,
  type GgufTensor,
  halfToFloat,
  multiplyBlockRow,
  Q8K_BYTES,
  quantizeQ8K,
  SUPER_BLOCK,
} from '../gguf/index.js';
import { dot } from './dot.js';

/** A weight matrix that stays in the CPU's memory, stored as in the file. */
export interface CpuMatrix {
  readonly rows: number;
  readonly columns: number;
  /** out[n * rows + m] = row m . column n of `input`, for `n` columns. */
  multiply(input: CpuInput, n: number, out: Float32Array): void;
}

/**
 * Loads a tensor for the CPU.
 *
 * K-quants are computed exactly as the core does, so a model gives the same bits wherever its tensors are placed. F16 rows
 * meet activations rounded to F16, as in llama.cpp. Other types meet float32 activations. Sums of these are float32 in the order of
 * dot.ts.
 */
export function loadCpuMatrix(gguf: GgufFile, tensor: GgufTensor): CpuMatrix {
  const bytes = new Uint8Array(tensor.byteLength);
  gguf.readTensor(tensor, 0, tensor.rows, bytes);
  const coreType = coreTypeOf(tensor.type);
  if (coreType !== undefined) return new BlockMatrix(tensor, coreType, bytes);
  if (tensor.type === GgmlType.F16) return new HalfMatrix(tensor, new Uint16Array(bytes.buffer));
  return new DequantisedMatrix(tensor, bytes);
}

/** The columns that CPU matrices are multiplied with, in the form that each type of weights wants, converted once. */
export class CpuInput {
  floats: Float32Array = new Float32Array(0);
  #count = 0;
  readonly #q8k: Uint8Array;
  readonly #halves: Float32Array;
  #hasQ8K = false;
  #hasHalves = false;

  /** @param capacity the most values, all columns together */
  constructor(capacity: number) {
    this.#q8k = new Uint8Array(Math.ceil(capacity / SUPER_BLOCK) * Q8K_BYTES);
    this.#halves = new Float32Array(capacity);
  }

  /** Takes the first `count` values: columns one after another. */
  set(floats: Float32Array, count: number): void {
    this.floats = floats;
    this.#count = count;
    this.#hasQ8K = false;
    this.#hasHalves = false;
  }

  /** Q8_K blocks, column after column. */
  get q8k(): Uint8Array {
    if (!this.#hasQ8K) quantizeQ8K(this.floats, 0, this.#count, this.#q8k, 0);
    this.#hasQ8K = true;
    return this.#q8k;
  }

  /** The values rounded to half precision. */
  get halves(): Float32Array {
    if (!this.#hasHalves) {
      for (let i = 0; i < this.#count; i++) this.#halves[i] = halfToFloat(floatToHalf(this.floats[i]));
    }
    this.#hasHalves = true;
    return this.#halves;
  }
}

/** Q2_K..Q6_K by the core's arithmetic. */
class BlockMatrix implements CpuMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly #rowBytes: number;

  constructor(
    tensor: GgufTensor,
    readonly coreType: CoreType,
    readonly bytes: Uint8Array,
  ) {
    this.rows = tensor.rows;
    this.columns = tensor.columns;
    this.#rowBytes = tensor.rowBytes;
  }

  multiply(input: CpuInput, n: number, out: Float32Array): void {
    const blocks = input.q8k;
    const kb = this.columns / SUPER_BLOCK;
    for (let m = 0; m < this.rows; m++) {
      for (let column = 0; column < n; column++) {
        out[column * this.rows + m] = multiplyBlockRow(
          this.coreType,
          this.bytes,
          m * this.#rowBytes,
          blocks,
          column * kb * Q8K_BYTES,
          kb,
        );
      }
    }
  }
}

/** F16, decoded in place: the type of unquantised files, worth a loop without a copy. */
class HalfMatrix implements CpuMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly #row: Float32Array;

  constructor(
    tensor: GgufTensor,
    readonly bits: Uint16Array,
  ) {
    this.rows = tensor.rows;
    this.columns = tensor.columns;
    this.#row = new Float32Array(tensor.columns);
  }

  multiply(input: CpuInput, n: number, out: Float32Array): void {
    const row = this.#row;
    for (let m = 0; m < this.rows; m++) {
      const from = m * this.columns;
      for (let i = 0; i < this.columns; i++) row[i] = halfToFloat(this.bits[from + i]);
      multiplyRow(row, input.halves, n, out, m, this.rows);
    }
  }
}

/** F32, BF16, Q8_0 and Q4_0, a row at a time through gguf's dequantisation. */
class DequantisedMatrix implements CpuMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly #row: Float32Array;
  readonly #rowBytes: Uint8Array;

  constructor(
    readonly tensor: GgufTensor,
    readonly bytes: Uint8Array,
  ) {
    this.rows = tensor.rows;
    this.columns = tensor.columns;
    this.#row = new Float32Array(tensor.columns);
    this.#rowBytes = new Uint8Array(tensor.rowBytes);
  }

  multiply(input: CpuInput, n: number, out: Float32Array): void {
    const { rowBytes, type } = this.tensor;
    for (let m = 0; m < this.rows; m++) {
      // A copy by hand: a view of every row of every step would be left to the garbage collector.
      for (let i = 0, from = m * rowBytes; i < rowBytes; i++) this.#rowBytes[i] = this.bytes[from + i];
      dequantizeRow(type, this.#rowBytes, this.columns, this.#row);
      multiplyRow(this.#row, input.floats, n, out, m, this.rows);
    }
  }
}

/** One row times n columns. */
function multiplyRow(
  row: Float32Array,
  columns: Float32Array,
  n: number,
  out: Float32Array,
  m: number,
  rows: number,
): void {
  for (let column = 0; column < n; column++) {
    out[column * rows + m] = dot(row, 0, columns, column * row.length, row.length);
  }
}
