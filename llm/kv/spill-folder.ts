import { createHash, type Hash, randomUUID } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readdirSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { PynqLlmError } from '../../errors/index.js';

const SUFFIX = '.kvspill';

/** A file that keeps frames of one sequence until they are read once. */
export interface SpilledFrames {
  /**
   * Reads everything, a frame after the other, into `frames`, which have the lengths of those written.
   * @returns whether every byte is as it was written
   */
  readInto(frames: readonly Uint8Array[]): boolean;
  /** Harmless the second time. */
  delete(): void;
}

/**
 * A folder for keys and values of sequences that had to make room. Files are of use to this process only: what is found of
 * an earlier one is deleted. Writing and reading block; a failure costs nothing but computing again.
 */
export class SpillFolder {
  readonly #path: string;
  readonly #maxBytes: number;
  #bytes = 0;

  /**
   * @param path a folder for this alone; it is made where it does not exist
   * @param maxBytes bound of all files together
   * @throws PynqLlmError LLM_KV_SPILL_FOLDER
   */
  constructor(path: string, maxBytes: number) {
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 });
      for (const name of readdirSync(path))
        if (name.endsWith(SUFFIX)) rmSync(join(path, name), { force: true });
    } catch (cause) {
      throw new PynqLlmError('LLM_KV_SPILL_FOLDER', `The folder ${path} cannot be made or tidied.`, {
        cause,
        context: { path },
      });
    }
    this.#path = path;
    this.#maxBytes = maxBytes;
  }

  /** Bytes in the folder. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Nothing where there is no room, or the file system refuses. */
  write(frames: readonly Uint8Array[]): SpilledFrames | undefined {
    const byteLength = frames.reduce((sum, frame) => sum + frame.length, 0);
    if (this.#bytes + byteLength > this.#maxBytes) return undefined;
    const path = join(this.#path, `${randomUUID()}${SUFFIX}`);
    const hash = createHash('sha256');
    try {
      inFile(path, 'wx', (file) => {
        for (const frame of frames) writeWhole(file, frame, hash);
      });
    } catch {
      rmSync(path, { force: true });
      return undefined;
    }
    this.#bytes += byteLength;
    return this.#spilled(path, byteLength, hash.digest());
  }

  #spilled(path: string, byteLength: number, digest: Buffer): SpilledFrames {
    let bytes = byteLength;
    return {
      readInto: (frames) => {
        const hash = createHash('sha256');
        try {
          inFile(path, 'r', (file) => {
            for (const frame of frames) readWhole(file, frame, hash);
          });
        } catch {
          return false;
        }
        return hash.digest().equals(digest);
      },
      delete: () => {
        this.#bytes -= bytes;
        bytes = 0;
        rmSync(path, { force: true });
      },
    };
  }
}

function inFile(path: string, flags: string, use: (file: number) => void): void {
  const file = openSync(path, flags, 0o600);
  try {
    use(file);
  } finally {
    closeSync(file);
  }
}

function writeWhole(file: number, bytes: Uint8Array, hash: Hash): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
  hash.update(bytes);
}

function readWhole(file: number, bytes: Uint8Array, hash: Hash): void {
  for (let at = 0; at < bytes.length; ) {
    const read = readSync(file, bytes, at, bytes.length - at, null);
    if (read === 0) throw new Error('the file ends early');
    at += read;
  }
  hash.update(bytes);
}
