import type { GgufFile, GgufTensor } from '../../gguf/index.js';
import type { ModelConfig } from './config.js';
import { type NormTensors, readVector } from './tensors.js';

/** Weights of a norm, one a value of a row. */
export interface Norm {
  readonly kind: 'rms' | 'layer';
  /** Parts of a row that are normed each for itself. */
  readonly parts: number;
  readonly weight: Float32Array;
  readonly bias: Float32Array | undefined;
  readonly epsilon: number;
}

/** Reads the weights of a norm, where there is one. @throws PynqLlmError GGUF_READ_FAILED */
export function readNorm<T extends NormTensors | GgufTensor | undefined>(
  gguf: GgufFile,
  { architecture, normEpsilon }: ModelConfig,
  tensors: T,
): Norm | (T extends undefined ? undefined : never);
export function readNorm(
  gguf: GgufFile,
  { architecture, normEpsilon }: ModelConfig,
  tensors: NormTensors | GgufTensor | undefined,
): Norm | undefined {
  if (tensors === undefined) return undefined;
  const { weight, bias } = 'weight' in tensors ? tensors : { weight: tensors, bias: undefined };
  return {
    kind: architecture.norm,
    parts: weight.rows,
    weight: readVector(gguf, weight),
    bias: bias && readVector(gguf, bias),
    epsilon: normEpsilon,
  };
}
