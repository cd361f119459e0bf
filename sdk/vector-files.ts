import { readFile, stat } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { PynqLlmError } from '../errors/index.js';
import { MAX_FRAME_BYTES } from '../protocol/index.js';

/** What of a frame is left to vectors and lists. */
export const MOST_BYTES = MAX_FRAME_BYTES - 64 * 1024;

/** A file of golden vectors. */
export interface VectorFile {
  readonly name: string;
  readonly data: Uint8Array;
}

/** Bytes of a text in UTF-8. */
export function byteLengthOf(text: string): number {
  return Buffer.byteLength(text);
}

/** The lists of a folder of vectors, by name. @throws PynqLlmError SDK_VECTORS, SDK_VECTORS_TOO_LARGE */
export async function readLists(
  directory: string,
  names: readonly string[],
): Promise<Record<string, string>> {
  const lists: Record<string, string> = {};
  for (const name of names) {
    try {
      lists[name] = await readFile(join(directory, `${name}.json`), 'utf8');
    } catch (cause) {
      if (!(cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'))
        throw unreadable(directory, cause);
    }
  }
  if (Object.keys(lists).length === 0) throw unreadable(directory, undefined);
  requireSize(
    `The lists of ${directory}`,
    Object.values(lists).reduce((sum, text) => sum + byteLengthOf(text), 0),
    MOST_BYTES,
  );
  return lists;
}

export function requireSize(what: string, bytes: number, limit: number): void {
  if (bytes > limit)
    throw new PynqLlmError('SDK_VECTORS_TOO_LARGE', `${what} has ${bytes} bytes; ${limit} can be sent.`, {
      context: { bytes, limit },
    });
}

/** @throws PynqLlmError SDK_VECTORS */
export async function sizeOf(directory: string, name: string): Promise<number> {
  const path = resolve(directory, name);
  // The agent says which files a check needs: it must not get at others than those of the folder.
  if (!path.startsWith(resolve(directory) + sep)) throw unreadable(path, undefined);
  try {
    return (await stat(path)).size;
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/** @throws PynqLlmError SDK_VECTORS */
export async function readVectorFile(directory: string, name: string): Promise<VectorFile> {
  const path = resolve(directory, name);
  try {
    return { name, data: await readFile(path) };
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): PynqLlmError {
  return new PynqLlmError('SDK_VECTORS', `${path} holds no golden vectors that can be read.`, {
    cause,
    context: { path },
  });
}
