import { basename, dirname, join } from 'node:path';
import { PynqLlmError } from '../errors/index.js';
import type { GgufValue } from './metadata.js';

/** Metadata of a part (llama-gguf-split): its number from 0, how many there are, and the tensors of all. */
export const SPLIT_KEYS = {
  number: 'split.no',
  count: 'split.count',
  tensors: 'split.tensors.count',
} as const;

/** What the name of a part says: `NAME-00002-of-00003.gguf`. */
export interface SplitName {
  /** The model's name, without number and suffix. */
  readonly name: string;
  /** From 1. */
  readonly number: number;
  readonly count: number;
  /** Path of a part, by its number from 1. */
  pathOf(number: number): string;
}

/** @returns undefined where the path is not named as a part of several */
export function splitNameOf(path: string): SplitName | undefined {
  const found = /^(.+)-(\d{5})-of-(\d{5})\.gguf$/.exec(basename(path));
  if (found === null) return undefined;
  const [, name, number, total] = found;
  const count = Number(total);
  if (count < 2 || Number(number) < 1 || Number(number) > count) return undefined;
  const pathOf = (one: number) =>
    join(dirname(path), `${name}-${String(one).padStart(5, '0')}-of-${total}.gguf`);
  return { name, number: Number(number), count, pathOf };
}

/** How many parts a model is split into by a file's metadata; 1 for a whole one. */
export function partCount(metadata: ReadonlyMap<string, GgufValue>): number {
  const count = metadata.get(SPLIT_KEYS.count);
  return typeof count === 'number' && count > 1 ? count : 1;
}

/** A part alone is no model. @throws PynqLlmError GGUF_SPLIT_PART */
export function refusePart(metadata: ReadonlyMap<string, GgufValue>): void {
  const count = partCount(metadata);
  if (count === 1) return;
  const number = Number(metadata.get(SPLIT_KEYS.number) ?? 0) + 1;
  throw new PynqLlmError('GGUF_SPLIT_PART', `The file is part ${number} of ${count} of a split model.`, {
    context: { number, count },
    remedy:
      'Give the first part under the name that it was published with, NAME-00001-of-NNNNN.gguf, with the others beside it; or join them with llama-gguf-split --merge FIRST WHOLE.',
  });
}
