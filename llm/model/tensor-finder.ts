import { PynqLlmError } from '../../errors/index.js';
import { BLOCK_FORMATS, GgmlType, type GgufFile, type GgufTensor } from '../../gguf/index.js';

/** Looks up tensors of a file by name and shape, and knows which have been. */
export class TensorFinder {
  /** The vectors that were found. */
  readonly vectors: GgufTensor[] = [];
  readonly #gguf: GgufFile;
  readonly #found = new Set<string>();

  constructor(gguf: GgufFile) {
    this.#gguf = gguf;
  }

  has(name: string): boolean {
    return this.#gguf.tensors.has(name);
  }

  /** A matrix of any type that files have. @throws PynqLlmError LLM_TENSOR_MISSING, LLM_TENSOR_SHAPE, LLM_TENSOR_TYPE */
  matrix(name: string, rows: number, columns: number): GgufTensor {
    const tensor = this.#find(name);
    checkShape(tensor, [columns, rows]);
    return tensor;
  }

  /** `count` matrices in one tensor, one after another. @throws PynqLlmError LLM_TENSOR_MISSING, LLM_TENSOR_SHAPE, LLM_TENSOR_TYPE */
  stack(name: string, count: number, rows: number, columns: number): GgufTensor {
    const tensor = this.#find(name);
    checkShape(tensor, [columns, rows, count]);
    return tensor;
  }

  /** A vector of F32, or some of one length. @throws PynqLlmError LLM_TENSOR_MISSING, LLM_TENSOR_SHAPE, LLM_TENSOR_TYPE */
  vector(name: string, length: number, count = 1): GgufTensor {
    const tensor = this.#find(name);
    checkShape(tensor, count === 1 ? [length] : [length, count]);
    if (tensor.type !== GgmlType.F32) throw wrongType(tensor, 'F32');
    this.vectors.push(tensor);
    return tensor;
  }

  /** Whatever else is there would change the results, so the file is refused instead of computed without it. */
  refuseOthers(): void {
    for (const name of this.#gguf.tensors.keys()) {
      if (this.#found.has(name)) continue;
      throw new PynqLlmError(
        'LLM_UNSUPPORTED_ARCHITECTURE',
        `The model has the tensor ${name}, which the graph of its architecture has no place for.`,
        { context: { tensor: name } },
      );
    }
  }

  #find(name: string): GgufTensor {
    const tensor = this.#gguf.tensors.get(name);
    if (tensor === undefined) {
      throw new PynqLlmError('LLM_TENSOR_MISSING', `The tensor ${name} is missing.`, {
        context: { tensor: name },
      });
    }
    if (tensor.type === GgmlType.Q8_K) throw wrongType(tensor, 'a type for weights');
    this.#found.add(name);
    return tensor;
  }
}

/** Dimensions of 1 at the end are as good as absent. */
function checkShape(tensor: GgufTensor, expected: readonly number[]): void {
  const same =
    tensor.shape.every((size, i) => size === (expected[i] ?? 1)) && tensor.shape.length >= expected.length;
  if (!same) {
    throw new PynqLlmError(
      'LLM_TENSOR_SHAPE',
      `${tensor.name} has the shape ${tensor.shape.join(' x ')}; the metadata ask for ${expected.join(' x ')}.`,
      { context: { tensor: tensor.name, shape: [...tensor.shape], expected: [...expected] } },
    );
  }
}

function wrongType(tensor: GgufTensor, expected: string): PynqLlmError {
  const type = BLOCK_FORMATS[tensor.type].name;
  return new PynqLlmError('LLM_TENSOR_TYPE', `${tensor.name} is stored as ${type}, not as ${expected}.`, {
    context: { tensor: tensor.name, type, expected },
  });
}
