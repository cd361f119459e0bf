import {
  type CoreType,
  coreTypeOf,
  dequantizeRow,
  GgmlType,
  type GgufFile,
  type GgufTensor,
  multiplyBlockRow,
  paddedColumns,
  Q8K_BYTES,
  SUPER_BLOCK,
  SUPER_BLOCK_READERS,
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
 * K-quants are computed exactly as the core does, so a model gives the same bits wherever its tensors are placed. Other types meet
 * activations rounded as llama.cpp rounds them: to halves for F16, to bfloat16 for BF16, to Q8_K for types of 256 values a block, to
 * Q8_0 or Q8_1 for those of 32; F32 meets float32. Sums of floats have the order of assembly/dot.ts.
 *
 * @param floats whether activations stay float32 whatever the type: for comparisons
 */
export function loadCpuMatrix(gguf: GgufFile, tensor: GgufTensor, floats = false): CpuMatrix {
  const bytes = new Uint8Array(tensor.byteLength);
  gguf.readTensor(tensor, 0, tensor.rows, bytes);
  if (floats || tensor.type === GgmlType.F32) return new RowMatrix(tensor, bytes, dequantised);
  const coreType = coreTypeOf(tensor.type);
  if (coreType !== undefined) return new BlockMatrix(tensor, coreType, bytes);
  if (tensor.type === GgmlType.F16) return new RowMatrix(tensor, bytes, halves);
  if (tensor.type === GgmlType.BF16) return new RowMatrix(tensor, bytes, bfloats);
  return new RowMatrix(
    tensor,
    bytes,
    SUPER_BLOCK_READERS[tensor.type] === undefined ? smallBlocks : superBlocks,
  );
}

/** Whether matrices of a type meet activations as Q8_K, on the core and on the CPU. */
export function takesQ8(type: GgmlType): boolean {
  return coreTypeOf(type) !== undefined || SUPER_BLOCK_READERS[type] !== undefined;
}

/** A row of a tensor times `n` columns: one float32 a column. */
type MultiplyRow = (tensor: GgufTensor, row: Uint8Array, input: MatrixInput, n: number) => Float32Array;

const halves: MultiplyRow = ({ columns }, row, input, n) => input.multiplyRounded(row, columns, n, 'halves');

const bfloats: MultiplyRow = ({ columns }, row, input, n) =>
  input.multiplyRounded(row, columns, n, 'bfloats');

const smallBlocks: MultiplyRow = ({ type, columns }, row, input, n) =>
  input.multiplySmall(type, row, columns, n);

const superBlocks: MultiplyRow = ({ type, columns }, row, input, n) =>
  input.multiplySuper(type, row, columns, n);

const dequantised: MultiplyRow = ({ type, columns }, row, input, n) => {
  dequantizeRow(type, row, paddedColumns(type, columns), input.row);
  return input.multiplyRow(columns, n);
};

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
    const kb = Math.ceil(this.columns / SUPER_BLOCK);
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

/** Other types, a row at a time. */
class RowMatrix implements CpuMatrix {
  readonly rows: number;
  readonly columns: number;

  constructor(
    readonly tensor: GgufTensor,
    readonly bytes: Uint8Array,
    readonly multiplyRow: MultiplyRow,
  ) {
    this.rows = tensor.rows;
    this.columns = tensor.columns;
  }

  multiply(input: MatrixInput, n: number, out: Float32Array): void {
    const { rows, tensor } = this;
    const { rowBytes } = tensor;
    for (let m = 0; m < rows; m++) {
      const row = this.bytes.subarray(m * rowBytes, (m + 1) * rowBytes);
      const results = this.multiplyRow(tensor, row, input, n);
      for (let column = 0; column < n; column++) out[column * rows + m] = results[column];
    }
  }
}
