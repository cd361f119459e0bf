import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileSink, TINY_LLAMA_1B, writeSyntheticLlama } from '../gguf/index.js';

const SEED = 1;

const SMALL = {
  ...TINY_LLAMA_1B.dimensions,
  embedding: 512,
  feedForward: 1024,
  layers: 2,
  heads: 8,
  kvHeads: 2,
  vocabulary: 2304,
};

/**
 * The path of a model with random weights in Q3_K_S, of TinyLlama-1.1B's dimensions (475 MiB) or small, in the temporary folder.
 * The file is the same every time; one that is there was complete when it got its name.
 */
export function syntheticModel(small: boolean): string {
  const folder = join(tmpdir(), 'pynq-llm-bench');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${small ? 'synthetic-small' : 'synthetic-tinyllama-q3ks'}-${SEED}.gguf`);
  if (existsSync(path)) return path;
  const partial = `${path}.${process.pid}.partial`;
  const sink = fileSink(partial);
  const dimensions = small ? SMALL : TINY_LLAMA_1B.dimensions;
  writeSyntheticLlama(sink, { ...TINY_LLAMA_1B, dimensions, seed: SEED });
  sink.close();
  renameSync(partial, path);
  return path;
}
