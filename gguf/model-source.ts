import * as nodeFs from 'node:fs';
import { basename } from 'node:path';
import { PynqLlmError } from '../errors/index.js';
import { type FileSource, type FileSystem, fileSource } from './byte-source.js';
import { joinParts } from './join-parts.js';
import { MAX_SPLIT_PARTS } from './limits.js';
import { type GgufFile, readGguf } from './reader.js';
import { partCount, SPLIT_KEYS, type SplitName, splitNameOf } from './split-name.js';

/** A model as one GGUF file, whatever number of files it lies in. */
export interface ModelSource extends FileSource {
  /** The name of the whole: of a split model without the number of its part. */
  readonly name: string;
  /** The files that it lies in, in order. */
  readonly files: readonly string[];
}

/**
 * Opens a model: one file, or all parts of a split one by its first. Parts are joined as they are read: `readInto` gives the
 * bytes of the file that llama-gguf-split cut, and no copy of them is held but of the header.
 *
 * @param path of the file, or of the first part (`NAME-00001-of-00003.gguf`)
 * @throws PynqLlmError GGUF_READ_FAILED; of a split model GGUF_*, GGUF_SPLIT_PART, GGUF_SPLIT_PART_MISSING, GGUF_SPLIT_MISMATCH
 */
export function modelSource(path: string, fs: FileSystem = nodeFs): ModelSource {
  const named = splitNameOf(path);
  const first = fileSource(path, fs);
  const whole = { ...first, name: basename(path), files: [path] };
  if (named === undefined) return whole;
  const sources = [first];
  const close = (): void => {
    for (const source of sources) source.close();
  };
  try {
    const head = readGguf(first);
    // Named so, and whole all the same.
    if (partCount(head.metadata) === 1) return whole;
    requireFirst(named, head);
    const files = Array.from({ length: named.count }, (_, i) => named.pathOf(i + 1));
    requireParts(files, fs);
    const parts = [head];
    for (const file of files.slice(1)) {
      const source = fileSource(file, fs);
      sources.push(source);
      parts.push(inPart(file, () => readGguf(source)));
    }
    checkParts(parts, files);
    const joined = joinParts(parts);
    return { ...joined, name: `${named.name}.gguf`, files, close, [Symbol.dispose]: close };
  } catch (error) {
    close();
    throw error;
  }
}

function requireFirst({ number, count, name, pathOf }: SplitName, { metadata }: GgufFile): void {
  const said = partCount(metadata);
  if (said !== count)
    throw mismatch(`The name says that ${name} has ${count} parts, its metadata that it has ${said}.`);
  if (count > MAX_SPLIT_PARTS)
    throw mismatch(`${name} has ${count} parts; at most ${MAX_SPLIT_PARTS} are read.`, {
      remedy: 'Join them first, with llama-gguf-split --merge FIRST WHOLE.',
    });
  if (number === 1) return;
  const first = pathOf(1);
  throw new PynqLlmError('GGUF_SPLIT_PART', `The file is part ${number} of ${count} of a split model.`, {
    context: { number, count, first },
    remedy: `Give the first part: ${first}`,
  });
}

/** All that lack at once: parts take long to fetch. */
function requireParts(files: readonly string[], fs: FileSystem): void {
  const missing = files.filter((file) => {
    try {
      fs.closeSync(fs.openSync(file, 'r'));
      return false;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return true;
      return false;
    }
  });
  if (missing.length === 0) return;
  const shown = missing.slice(0, 5).map((file) => basename(file));
  const more = missing.length > shown.length ? ` and ${missing.length - shown.length} more` : '';
  throw new PynqLlmError(
    'GGUF_SPLIT_PART_MISSING',
    `Of ${files.length} parts there is no ${shown.join(', ')}${more}.`,
    { context: { missing: shown, count: files.length } },
  );
}

/** What is wrong with a part says with which. */
function inPart<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof PynqLlmError)) throw error;
    const { code, what, remedy, context } = error;
    throw new PynqLlmError(code, `${basename(file)}: ${what}`, { remedy, context, cause: error });
  }
}

/** Parts tell their number and how many there are, and no tensor is in two of them. What else they say, they say alike. */
function checkParts(parts: readonly GgufFile[], files: readonly string[]): void {
  const [{ metadata }] = parts;
  const tensors = metadata.get(SPLIT_KEYS.tensors);
  const seen = new Map<string, string>();
  for (const [i, part] of parts.entries()) {
    const file = basename(files[i]);
    const number = part.metadata.get(SPLIT_KEYS.number);
    if (number !== i)
      throw mismatch(
        `${file} says of itself that it is part ${Number(number ?? Number.NaN) + 1}, not ${i + 1}.`,
      );
    for (const [key, value] of part.metadata) {
      const first = metadata.get(key);
      if (key === SPLIT_KEYS.number || first === undefined || typeof value === 'object' || first === value)
        continue;
      throw mismatch(
        `${file} has another ${key} than the first part: ${String(value)}, not ${String(first)}.`,
      );
    }
    if (partCount(part.metadata) !== parts.length)
      throw mismatch(`${file} does not say that it is one of ${parts.length} parts.`);
    for (const name of part.tensors.keys()) {
      const other = seen.get(name);
      if (other !== undefined) throw mismatch(`The tensor ${name} is in ${other} and in ${file}.`);
      seen.set(name, file);
    }
  }
  if (tensors !== undefined && tensors !== seen.size)
    throw mismatch(
      `The parts have ${seen.size} tensors, not the ${String(tensors)} that the first one tells of.`,
    );
}

function mismatch(what: string, detail: { readonly remedy?: string } = {}): PynqLlmError {
  return new PynqLlmError('GGUF_SPLIT_MISMATCH', what, detail);
}
