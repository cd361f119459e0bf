import {
  type CoreType,
  coreTypeOf,
  dequantizeRow,
  GgmlType,
  type GgufFile,
  type GgufTensor,
  multiplyBlockRow,
  Q8K_BYTES,
  SUPER_BLOCK,
} from '../../gguf/index.js';
import type { MatrixInput } from './matrix-input.js';

/** A weight matrix that stays in the CPU's memory, stored as in the file. */
export interface CpuMatrix {
  readonly rows: number;
  readonly columns: number;
  /** out[n * rows + m] = row m . column n of `input`, for `n` columns. */
  multiply(input: MatrixInput, n: number, out: Float32Array): void;
}

/**
 * Loads a tensor for the CPU.
 *
 * K-quants are computed exactly as the core does, so a model gives the same bits wherever its tensors are placed. F16 rows
 * meet activations rounded to F16, as in llama.cpp. Other types meet float32 activations. Sums of these are float32 in the order
 * of assembly/dot.ts.
 */
export function loadCpuMatrix(gguf: GgufFile, tensor: GgufTensor): CpuMatrix {
  const bytes = new Uint8Array(tensor.byteLength);
  gguf.readTensor(tensor, 0, tensor.rows, bytes);
  const coreType = coreTypeOf(tensor.type);
  if (coreType !== undefined) return new BlockMatrix(tensor, coreType, bytes);
  if (tensor.type === GgmlType.F16) return new HalfMatrix(tensor, new Uint16Array(bytes.buffer));
  return new DequantisedMatrix(tensor, bytes);
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

  multiply(input: MatrixInput, n: number, out: Float32Array): void {
    const blocks = input.blocks;
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

/** F16: the type of unquantised files. */
class HalfMatrix implements CpuMatrix {
  readonly rows: number;
  readonly columns: number;

  constructor(
    tensor: GgufTensor,
    readonly bits: Uint16Array,
  ) {
    this.rows = tensor.rows;
    this.columns = tensor.columns;
  }

  multiply(input: MatrixInput, n: number, out: Float32Array): void {
    const { rows, columns } = this;
    for (let m = 0; m < rows; m++) {
      input.setHalfRow(this.bits.subarray(m * columns, (m + 1) * columns));
      const results = input.multiplyRow(columns, n, 'halves');
      for (let column = 0; column < n; column++) out[column * rows + m] = results[column];
    }
  }
}

/** F32, BF16, Q8_0 and Q4_0, a row at a time through gguf's dequantisation. */
class DequantisedMatrix implements CpuMatrix {
  readonly rows: number;
  readonly columns: number;

  constructor(
    readonly tensor: GgufTensor,
    readonly bytes: Uint8Array,
  ) {
    this.rows = tensor.rows;
    this.columns = tensor.columns;
  }

  multiply(input: MatrixInput, n: number, out: Float32Array): void {
    const { rows, columns } = this;
    const { rowBytes, type } = this.tensor;
    for (let m = 0; m < rows; m++) {
      dequantizeRow(type, this.bytes.subarray(m * rowBytes, (m + 1) * rowBytes), columns, input.row);
      const results = input.multiplyRow(columns, n, 'floats');
      for (let column = 0; column < n; column++) out[column * rows + m] = results[column];
    }
  }
}
