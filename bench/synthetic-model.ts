import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  bytesSource,
  fileSink,
  GgmlType,
  type GgufFile,
  type LlamaDimensions,
  openHeader,
  syntheticLlamaHeader,
  TINY_LLAMA_1B,
  writeSyntheticLlama,
} from '../gguf/index.js';

/** A model by what its matrices are; the weights are random. */
export interface ModelShape {
  readonly name: string;
  readonly dimensions: LlamaDimensions;
  readonly typeOf: (name: string) => GgmlType;
}

export const TINY_LLAMA_Q3_K_S: ModelShape = { name: 'tinyllama-q3ks', ...TINY_LLAMA_1B };

export const SMALL: ModelShape = {
  ...TINY_LLAMA_1B,
  name: 'small',
  dimensions: {
    ...TINY_LLAMA_1B.dimensions,
    embedding: 512,
    feedForward: 1024,
    layers: 2,
    heads: 8,
    kvHeads: 2,
    vocabulary: 2304,
  },
};

/** All in Q2_K but the output matrix. */
export const TINY_LLAMA_Q2_K: ModelShape = {
  name: 'tinyllama-q2k',
  dimensions: TINY_LLAMA_1B.dimensions,
  typeOf: (name) => (name === 'output.weight' ? GgmlType.Q4_K : GgmlType.Q2_K),
};

/** MobileLLM-125M: rows of 576 values are no whole super-blocks, so that the core takes ffn_down alone. */
export const MOBILE_LLM_125M: ModelShape = {
  name: 'mobilellm-q2k',
  dimensions: {
    embedding: 576,
    layers: 30,
    feedForward: 1536,
    heads: 9,
    kvHeads: 3,
    vocabulary: 32000,
    contextLength: 2048,
    ropeTheta: 10000,
    tiedOutput: true,
  },
  typeOf: (name) => (name.endsWith('ffn_down.weight') ? GgmlType.Q2_K : GgmlType.Q8_0),
};

const SEED = 1;

/**
 * The path of a model file with random weights, in the temporary folder. The file is the same every time; one that is there was
 * complete when it got its name.
 */
export function syntheticModel({ name, dimensions, typeOf }: ModelShape): string {
  const folder = join(tmpdir(), 'pynq-llm-bench');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `synthetic-${name}-${SEED}.gguf`);
  if (existsSync(path)) return path;
  const partial = `${path}.${process.pid}.partial`;
  const sink = fileSink(partial);
  writeSyntheticLlama(sink, { dimensions, typeOf, seed: SEED });
  sink.close();
  renameSync(partial, path);
  return path;
}

/** The header of such a file, which alone is made. */
export function syntheticHeader({ dimensions, typeOf }: ModelShape): GgufFile {
  return openHeader(bytesSource(syntheticLlamaHeader({ dimensions, typeOf, seed: SEED })));
}
