import { type ByteSource, dequantizeRow, type GgufTensor, paddedColumns } from '../../gguf/index.js';

/**
 * Rows of the token embedding, read from the file one at a time: a row is a few kilobytes, the matrix may be a tenth of
 * the model, and with a tied output it already lies in device memory.
 */
export class Embedding {
  readonly #source: ByteSource;
  readonly #tensor: GgufTensor;
  readonly #bytes: Uint8Array;
  readonly #row: Float32Array;

  /** @param source the file; its header's metadata are not held */
  constructor(source: ByteSource, tensor: GgufTensor) {
    this.#source = source;
    this.#tensor = tensor;
    this.#bytes = new Uint8Array(tensor.rowBytes);
    this.#row = new Float32Array(paddedColumns(tensor.type, tensor.columns));
  }

  /** Writes the embedding of `token` to `out` from `at` on. @throws PynqLlmError GGUF_READ_FAILED */
  lookUp(token: number, out: Float32Array, at: number): void {
    this.#source.readInto(this.#tensor.byteOffset + token * this.#tensor.rowBytes, this.#bytes);
    dequantizeRow(this.#tensor.type, this.#bytes, this.#row.length, this.#row);
    out.set(this.#row.subarray(0, this.#tensor.columns), at);
  }
}
