import type { TensorShape } from '../../driver/index.js';
import { BLOCK_FORMATS, GgmlType, type GgufFile } from '../../gguf/index.js';
import type { KvShape } from '../kv/layout.js';
import { kvShapeOf, readConfig } from '../model/config.js';
import { findTensors, matrices } from '../model/tensors.js';
import { type WorkspaceShape, workspaceShape } from '../model/workspace.js';

/** What the memory of a model follows from: its header alone tells it. Plain data. */
export interface ModelShape extends KvShape, WorkspaceShape {
  readonly name: string;
  readonly layerWindows: readonly number[];
  /** Merges of a byte-pair vocabulary. */
  readonly merges: number;
  /** Tokens of context that the model was made for. */
  readonly trainedContext: number;
  /** Values of norms, convolutions and the like, float32 in the CPU's memory. */
  readonly vectorValues: number;
  /** What a step multiplies with. The embedding is among them only where it is the output matrix too. */
  readonly matrices: readonly TensorShape[];
}

/**
 * Reads the shape of a model from its header, and checks it as loading does; no weights are read.
 * @throws PynqLlmError LLM_UNSUPPORTED_ARCHITECTURE, LLM_METADATA_*, LLM_TENSOR_*, LLM_ROPE_SCALING_UNSUPPORTED
 */
export function modelShape(gguf: GgufFile): ModelShape {
  const config = readConfig(gguf);
  const tensors = findTensors(gguf, config);
  const merges = gguf.metadata.get('tokenizer.ggml.merges');
  const { name, trainedContext } = config;
  return {
    name,
    ...kvShapeOf(config),
    trainedContext,
    ...workspaceShape(config),
    merges: typeof merges === 'object' ? merges.length : 0,
    vectorValues: tensors.vectors.reduce((sum, { columns, rows }) => sum + columns * rows, 0),
    matrices: matrices(tensors).map(({ name, type, rows, columns }) => ({ name, type, rows, columns })),
  };
}

const TYPES: ReadonlyMap<string, GgmlType> = new Map(
  Object.values(GgmlType).map((type) => [BLOCK_FORMATS[type].name, type]),
);

/** A type of tensors by its name in GGML, such as `Q3_K`. */
export function typeNamed(name: string): GgmlType | undefined {
  return TYPES.get(name);
}
