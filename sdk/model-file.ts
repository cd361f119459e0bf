import { readdirSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { isPynqLlmError, PynqLlmError } from '../errors/index.js';
import { type ByteSource, bytesSource, type ModelSource, modelSource } from '../gguf/index.js';

/** Endings that browsers and download programs give a file until it is whole. */
const UNFINISHED = /\.(?:part|partial|crdownload|download|incomplete|aria2|opdownload|!ut|tmp)$/i;
const NAMES_SHOWN = 3;

/** A model to be sent or checked, and its name unless it is given another. */
export interface OpenModel extends Disposable {
  readonly source: ByteSource;
  readonly name: string;
}

/**
 * Opens a model's file, or all files of a split one by its first.
 * @throws PynqLlmError SDK_MODEL_FILE, and of a split model GGUF_...
 */
export function openModelFile(path: string): ModelSource {
  if (UNFINISHED.test(path) && isFile(path))
    throw refused(path, `${path} is named as a download that has not ended.`, {
      remedy: 'Let the download end, or begin it again; if the file is whole, rename it.',
    });
  let source: ModelSource;
  try {
    source = modelSource(path);
  } catch (error) {
    if (!isPynqLlmError(error, 'GGUF_READ_FAILED')) throw error;
    throw refused(path, isFolder(path) ? folderText(path) : error.what, {
      cause: error,
      ...(isFolder(path) && { remedy: 'Give a .gguf file; of a split model, its first part.' }),
    });
  }
  if (source.size > 0) return source;
  source.close();
  throw refused(path, `${path} is empty.`, {
    remedy: 'Fetch the file again: its download has not begun, or the disk was full.',
  });
}

/** @param model the path of a file, or the bytes @throws PynqLlmError as `openModelFile` */
export function openModel(model: string | Uint8Array): OpenModel {
  if (typeof model === 'string') {
    const source = openModelFile(model);
    return { source, name: source.name, [Symbol.dispose]: source.close };
  }
  if (model.length === 0) throw new PynqLlmError('SDK_MODEL_FILE', 'The model is empty.');
  return { source: bytesSource(model), name: 'model.gguf', [Symbol.dispose]: () => undefined };
}

function refused(
  path: string,
  what: string,
  detail: { readonly remedy?: string; readonly cause?: unknown } = {},
): PynqLlmError {
  return new PynqLlmError('SDK_MODEL_FILE', what, { ...detail, context: { path } });
}

function folderText(path: string): string {
  const inside = readdirSync(path).filter((name) => name.endsWith('.gguf'));
  const shown = inside.slice(0, NAMES_SHOWN).map((name) => basename(name));
  const more = inside.length > shown.length ? ' and more' : '';
  return `${path} is a folder; ${shown.length === 0 ? 'no .gguf file is in it' : `in it are ${shown.join(', ')}${more}`}.`;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}
