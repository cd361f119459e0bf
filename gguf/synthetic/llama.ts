import type { ByteSink } from '../byte-sink.js';
import { DEFAULT_ALIGNMENT } from '../reader.js';
import { GgmlType } from '../types.js';
import { type GgufEntry, ggufHeader, type TensorToWrite, writeGguf } from '../write.js';
import { normTensor, randomTensor } from './random-tensor.js';
import { syntheticVocabulary } from './vocabulary.js';

/** Dimensions of a LLaMA-architecture model. */
export interface LlamaDimensions {
  readonly embedding: number;
  readonly layers: number;
  readonly feedForward: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabulary: number;
  readonly contextLength: number;
  readonly ropeTheta: number;
  /** The output matrix is the embedding's (no `output.weight`). */
  readonly tiedOutput: boolean;
}

export interface SyntheticLlama {
  readonly dimensions: LlamaDimensions;
  /** The type of each matrix by its tensor name; norms are F32. */
  readonly typeOf: (name: string) => GgmlType;
  /** The same seed gives the same file. */
  readonly seed: number;
}

/** TinyLlama-1.1B's dimensions in llama.cpp's Q3_K_S mix: 1.10 G weights, about 475 MiB. */
export const TINY_LLAMA_1B: Omit<SyntheticLlama, 'seed'> = {
  dimensions: {
    embedding: 2048,
    layers: 22,
    feedForward: 5632,
    heads: 32,
    kvHeads: 4,
    vocabulary: 32000,
    contextLength: 2048,
    ropeTheta: 10000,
    tiedOutput: false,
  },
  typeOf: (name) => (name === 'output.weight' ? GgmlType.Q6_K : GgmlType.Q3_K),
};

/**
 * Writes a model of random weights: it runs at the speed and size of a real one and says nothing of sense.
 * Weights have the standard deviation 1/sqrt(row length), so that activations stay near 1 through the layers.
 * @throws PynqLlmError GGUF_ROW_NOT_WHOLE_BLOCKS, GGUF_BAD_RANGE, and what the sink throws
 */
export function writeSyntheticLlama(sink: ByteSink, model: SyntheticLlama): void {
  writeGguf(sink, metadataOf(model.dimensions), tensorsOf(model));
}

/** The header alone of what {@link writeSyntheticLlama} writes. */
export function syntheticLlamaHeader(model: SyntheticLlama): Uint8Array {
  return ggufHeader(metadataOf(model.dimensions), tensorsOf(model), DEFAULT_ALIGNMENT);
}

function metadataOf(dimensions: LlamaDimensions): Map<string, GgufEntry> {
  const u32 = (value: number): GgufEntry => ({ type: 'uint32', value });
  const f32 = (value: number): GgufEntry => ({ type: 'float32', value });
  return new Map<string, GgufEntry>([
    ['general.architecture', { type: 'string', value: 'llama' }],
    ['general.name', { type: 'string', value: 'synthetic' }],
    ['llama.context_length', u32(dimensions.contextLength)],
    ['llama.embedding_length', u32(dimensions.embedding)],
    ['llama.block_count', u32(dimensions.layers)],
    ['llama.feed_forward_length', u32(dimensions.feedForward)],
    ['llama.attention.head_count', u32(dimensions.heads)],
    ['llama.attention.head_count_kv', u32(dimensions.kvHeads)],
    ['llama.attention.layer_norm_rms_epsilon', f32(1e-5)],
    ['llama.rope.dimension_count', u32(dimensions.embedding / dimensions.heads)],
    ['llama.rope.freq_base', f32(dimensions.ropeTheta)],
    ['llama.vocab_size', u32(dimensions.vocabulary)],
    ...syntheticVocabulary(dimensions.vocabulary),
  ]);
}

function tensorsOf({ dimensions, typeOf, seed }: SyntheticLlama): TensorToWrite[] {
  const { embedding, feedForward, vocabulary } = dimensions;
  const kvLength = (embedding / dimensions.heads) * dimensions.kvHeads;
  const tensors: TensorToWrite[] = [];
  // Each tensor has a seed of its own, so that its weights do not depend on the others' sizes.
  const tensorSeed = (): number =>
    Math.imul(seed + 1, 0x9e3779b1) + Math.imul(tensors.length + 1, 0x85ebca77);
  const matrix = (name: string, columns: number, rows: number): void => {
    const deviation = 1 / Math.sqrt(columns);
    tensors.push(randomTensor(name, typeOf(name), [columns, rows], tensorSeed(), deviation));
  };
  const norm = (name: string): void => {
    tensors.push(normTensor(name, embedding, tensorSeed()));
  };
  matrix('token_embd.weight', embedding, vocabulary);
  for (let layer = 0; layer < dimensions.layers; layer++) {
    const block = `blk.${layer}`;
    norm(`${block}.attn_norm.weight`);
    matrix(`${block}.attn_q.weight`, embedding, embedding);
    matrix(`${block}.attn_k.weight`, embedding, kvLength);
    matrix(`${block}.attn_v.weight`, embedding, kvLength);
    matrix(`${block}.attn_output.weight`, embedding, embedding);
    norm(`${block}.ffn_norm.weight`);
    matrix(`${block}.ffn_gate.weight`, embedding, feedForward);
    matrix(`${block}.ffn_up.weight`, embedding, feedForward);
    matrix(`${block}.ffn_down.weight`, feedForward, embedding);
  }
  norm('output_norm.weight');
  if (!dimensions.tiedOutput) matrix('output.weight', embedding, vocabulary);
  return tensors;
}
