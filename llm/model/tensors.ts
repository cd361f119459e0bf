import { PynqLlmError } from '../../errors/index.js';
import { BLOCK_FORMATS, GgmlType, type GgufFile, type GgufTensor } from '../../gguf/index.js';
import type { ModelConfig } from './config.js';

/** The tensors of one layer, checked. */
export interface LayerTensors {
  readonly attentionNorm: GgufTensor;
  readonly q: GgufTensor;
  readonly k: GgufTensor;
  readonly v: GgufTensor;
  readonly attentionOutput: GgufTensor;
  readonly feedForwardNorm: GgufTensor;
  readonly gate: GgufTensor;
  readonly up: GgufTensor;
  readonly down: GgufTensor;
}

/** All tensors of a model, checked. */
export interface ModelTensors {
  readonly embedding: GgufTensor;
  readonly layers: readonly LayerTensors[];
  readonly outputNorm: GgufTensor;
  /** With a tied output this is `embedding`. */
  readonly output: GgufTensor;
  /** LLaMA-3 scaling: one divisor of the frequency for every pair of rotated values. */
  readonly ropeFactors: GgufTensor | undefined;
}

/**
 * Finds the tensors of a LLaMA-architecture model and checks shape and type of each. Shapes: a matrix of `rows`
 * results from `columns` inputs is stored row by row (GGUF order: ne[0] = columns).
 *
 * @throws PynqLlmError LLM_TENSOR_MISSING, LLM_TENSOR_SHAPE, LLM_TENSOR_TYPE
 */
export function findTensors(gguf: GgufFile, config: ModelConfig): ModelTensors {
  const { embedding, feedForward, heads, kvHeads, headDim, vocabSize } = config;
  const matrix = (name: string, rows: number, columns: number): GgufTensor => {
    const tensor = find(gguf, name);
    checkShape(tensor, [columns, rows]);
    return tensor;
  };
  const vector = (name: string, length: number): GgufTensor => {
    const tensor = find(gguf, name);
    checkShape(tensor, [length]);
    if (tensor.type !== GgmlType.F32) throw wrongType(tensor, 'F32');
    return tensor;
  };
  refuseBiases(gguf);
  const layers: LayerTensors[] = [];
  for (let i = 0; i < config.layers; i++) {
    layers.push({
      attentionNorm: vector(`blk.${i}.attn_norm.weight`, embedding),
      q: matrix(`blk.${i}.attn_q.weight`, heads * headDim, embedding),
      k: matrix(`blk.${i}.attn_k.weight`, kvHeads * headDim, embedding),
      v: matrix(`blk.${i}.attn_v.weight`, kvHeads * headDim, embedding),
      attentionOutput: matrix(`blk.${i}.attn_output.weight`, embedding, heads * headDim),
      feedForwardNorm: vector(`blk.${i}.ffn_norm.weight`, embedding),
      gate: matrix(`blk.${i}.ffn_gate.weight`, feedForward, embedding),
      up: matrix(`blk.${i}.ffn_up.weight`, feedForward, embedding),
      down: matrix(`blk.${i}.ffn_down.weight`, embedding, feedForward),
    });
  }
  const embeddingTensor = matrix('token_embd.weight', vocabSize, embedding);
  return {
    embedding: embeddingTensor,
    layers,
    outputNorm: vector('output_norm.weight', embedding),
    output: config.tiedOutput ? embeddingTensor : matrix('output.weight', vocabSize, embedding),
    ropeFactors: gguf.tensors.has('rope_freqs.weight')
      ? vector('rope_freqs.weight', config.rope.dimensions / 2)
      : undefined,
  };
}

/** The matrices that a step multiplies with, in the order of use. */
export function matrices(tensors: ModelTensors): GgufTensor[] {
  return tensors.layers
    .flatMap((layer) => [layer.q, layer.k, layer.v, layer.attentionOutput, layer.gate, layer.up, layer.down])
    .concat(tensors.output);
}

/** Reads an F32 vector, such as the weights of a norm. */
export function readVector(gguf: GgufFile, tensor: GgufTensor): Float32Array {
  const bytes = new Uint8Array(tensor.byteLength);
  gguf.readTensor(tensor, 0, tensor.rows, bytes);
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: tensor.byteLength / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

function find(gguf: GgufFile, name: string): GgufTensor {
  const tensor = gguf.tensors.get(name);
  if (tensor === undefined) {
    throw new PynqLlmError('LLM_TENSOR_MISSING', `The tensor ${name} is missing.`, {
      context: { tensor: name },
    });
  }
  if (tensor.type === GgmlType.Q8_K) throw wrongType(tensor, 'a type for weights');
  return tensor;
}

/** Biases would change the results, so a file that has them is refused instead of computed without them. */
function refuseBiases(gguf: GgufFile): void {
  for (const name of gguf.tensors.keys()) {
    if (/^(blk\.\d+\.(attn|ffn)_\w+|output)\.bias$/.test(name)) {
      throw new PynqLlmError(
        'LLM_UNSUPPORTED_ARCHITECTURE',
        `The model has the bias ${name}; biases are not computed.`,
        {
          context: { tensor: name, supported: ['llama without biases'] },
        },
      );
    }
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
