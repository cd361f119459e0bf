import { PynqLlmError } from '../errors/index.js';
import {
  type ByteSource,
  GgmlType,
  type GgufEntry,
  type GgufFile,
  type GgufTensor,
  openGguf,
} from '../gguf/index.js';

const SUMS = '.in_sum2';
const COUNTS = '.counts';
/** Longer names are cut in the metadata of what is made, as llama-quantize does. */
const MAX_NAME_LENGTH = 127;

/**
 * How much each column of a matrix matters: mean squares of its inputs, from a run of llama-imatrix over a text. Values of one
 * expert's columns follow those of the one before.
 */
export class ImportanceMatrix {
  readonly #weights: ReadonlyMap<string, Float32Array>;
  /** What is said of it in the file that is made. */
  readonly metadata: ReadonlyMap<string, GgufEntry>;

  private constructor(weights: ReadonlyMap<string, Float32Array>, metadata: ReadonlyMap<string, GgufEntry>) {
    this.#weights = weights;
    this.metadata = metadata;
  }

  /**
   * Reads a file that llama-imatrix wrote, in its GGUF format.
   * @param name what the file is called
   * @throws PynqLlmError GGUF_*, QUANTIZE_BAD_IMPORTANCE
   */
  static read(source: ByteSource, name: string): ImportanceMatrix {
    const file = openGguf(source);
    const weights = new Map<string, Float32Array>();
    for (const tensor of file.tensors.values()) {
      if (!tensor.name.endsWith(SUMS)) continue;
      const matrix = tensor.name.slice(0, -SUMS.length);
      weights.set(matrix, meansOf(file, tensor, matrix));
    }
    if (weights.size === 0) throw bad(`${name} has no tensor that ends in ${SUMS}.`);
    const text = (value: string): GgufEntry => ({ type: 'string', value: value.slice(0, MAX_NAME_LENGTH) });
    const metadata = new Map<string, GgufEntry>([['quantize.imatrix.file', text(name)]]);
    const datasets = file.metadata.get('imatrix.datasets');
    const [dataset] = Array.isArray(datasets) ? datasets : [];
    if (typeof dataset === 'string') metadata.set('quantize.imatrix.dataset', text(dataset));
    metadata.set('quantize.imatrix.entries_count', { type: 'uint32', value: weights.size });
    const chunks = file.metadata.get('imatrix.chunk_count');
    if (typeof chunks === 'number' && chunks > 0)
      metadata.set('quantize.imatrix.chunks_count', { type: 'uint32', value: chunks });
    return new ImportanceMatrix(weights, metadata);
  }

  /**
   * Weights of a tensor's columns in a row of it, or undefined where the matrix does not know it.
   * @throws PynqLlmError QUANTIZE_BAD_IMPORTANCE where it is of another model
   */
  weightsOf({ name, columns, rows, shape }: GgufTensor, row: number): Float32Array | undefined {
    const weights = this.#weights.get(name);
    if (weights === undefined) return undefined;
    const rowsOfExpert = shape[1] ?? 1;
    const experts = rows / rowsOfExpert;
    const expert = Math.floor(row / rowsOfExpert);
    if (weights.length === columns * experts)
      return weights.subarray(expert * columns, (expert + 1) * columns);
    if (name === 'token_embd.weight') return undefined;
    throw bad(`It has ${weights.length} values for ${name}, which has ${columns * experts} columns.`);
  }
}

function meansOf(file: GgufFile, sums: GgufTensor, matrix: string): Float32Array {
  const counts = file.tensors.get(matrix + COUNTS);
  if (counts === undefined) throw bad(`${matrix} has sums but no ${COUNTS}.`);
  const [values, divisors] = [readFloats(file, sums), readFloats(file, counts)];
  const columns = values.length / divisors.length;
  if (!Number.isInteger(columns))
    throw bad(`${matrix} has ${values.length} sums for ${divisors.length} counts.`);
  return values.map((value, i) => {
    const count = Math.round(divisors[Math.floor(i / columns)]);
    const mean = count === 0 ? 1 : value / count;
    if (count >= 0 && Number.isFinite(mean) && mean >= 0) return mean;
    throw bad(`${matrix} has the mean square ${mean}.`);
  });
}

function readFloats(file: GgufFile, tensor: GgufTensor): Float32Array {
  if (tensor.type !== GgmlType.F32) throw bad(`${tensor.name} is not F32.`);
  const bytes = new Uint8Array(tensor.byteLength);
  file.readTensor(tensor, 0, tensor.rows, bytes);
  return new Float32Array(bytes.buffer);
}

function bad(what: string): PynqLlmError {
  return new PynqLlmError('QUANTIZE_BAD_IMPORTANCE', what);
}
