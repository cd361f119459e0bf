import { readFile, stat } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { z } from 'zod';
import { type ErrorCodeName, isPynqLlmError, PynqLlmError } from '../errors/index.js';
import {
  type DeviceCheckResult,
  MAX_CHECK_BYTES,
  MAX_FRAME_BYTES,
  MAX_PIECE_BYTES,
  type Result,
} from '../protocol/index.js';
import { callback, optionsOf, requireArguments, signal } from './arguments.js';
import type { Connection } from './connection.js';

const SELF_TEST = z.object({
  directory: z.string(),
  options: optionsOf({ onCheck: callback, signal, only: callback }),
});

/** A check repeats its MatMul once per state of the counters. */
const CHECK_MS = 10 * 60_000;
/** What of a frame is left to vectors and lists. */
const MOST_BYTES = MAX_FRAME_BYTES - 64 * 1024;

type Check = Result<'device.listChecks'>['checks'][number];

interface VectorFile {
  readonly name: string;
  readonly data: Uint8Array;
}

/** What makes a single check fail, not all of them. */
const UNREADABLE: ReadonlySet<ErrorCodeName> = new Set([
  'SDK_VECTORS',
  'SDK_VECTORS_TOO_LARGE',
  'DRIVER_BAD_VECTOR',
]);

/** Which golden checks are made. */
export interface SelfTestOptions {
  /** Told the result of each check when it has been made. */
  readonly onCheck?: ((result: DeviceCheckResult) => void) | undefined;
  /** Ends it with the check that runs. */
  readonly signal?: AbortSignal | undefined;
  /** Which checks to make, by name; all unless given. */
  readonly only?: ((name: string) => boolean) | undefined;
}

/** What the golden checks found. */
export interface SelfTestSummary {
  /** URL of the device. */
  readonly device: string;
  /** Revision of its core. */
  readonly revision: 'v1' | 'v3' | 'v4';
  /** Checks that were made. */
  readonly cases: number;
  /** Checks of these that passed. */
  readonly passed: number;
  /** Results that differ from the golden ones, NaN as a class. */
  readonly bitMismatches: number;
  /** Hardware counters that differ. */
  readonly counterMismatches: number;
  /** Counts of cycles that differ. */
  readonly cycleMismatches: number;
}

/** Direct work with the core: `board.device`. Needs the role admin. */
export class DeviceClient {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * Runs every golden MatMul, counter table and word stream of a folder through the driver of the device. A vector that
   * cannot be read, or is damaged, is a check that did not pass.
   * @param directory with index.json, counters.json, streams.json (each may be absent) and the vector files
   * @throws PynqLlmError SDK_VECTORS, SDK_VECTORS_TOO_LARGE, DRIVER_BAD_VECTOR about the lists
   */
  async selfTest(directory: string, options: SelfTestOptions = {}): Promise<SelfTestSummary> {
    requireArguments({ directory, options }, SELF_TEST);
    const { device, description } = await this.#connection.request('board.info', {});
    const lists = await readLists(directory);
    const all = (await this.#connection.request('device.listChecks', lists)).checks;
    const checks = all.filter(({ name }) => options.only?.(name) !== false);
    const total = { cases: 0, passed: 0, bitMismatches: 0, counterMismatches: 0, cycleMismatches: 0 };
    for (const check of checks) {
      options.signal?.throwIfAborted();
      const result = await this.#run(directory, check, options.signal);
      total.cases++;
      if (result.passed) total.passed++;
      total.bitMismatches += result.bitMismatches;
      total.counterMismatches += result.counterMismatches;
      total.cycleMismatches += result.cycleMismatches;
      options.onCheck?.(result);
    }
    return { device, revision: description.revision, ...total };
  }

  async #run(
    directory: string,
    { name, check, files }: Check,
    signal: AbortSignal | undefined,
  ): Promise<DeviceCheckResult> {
    try {
      const sizes = await Promise.all(files.map((file) => sizeOf(directory, file)));
      const bytes = sizes.reduce((sum, size) => sum + size, Buffer.byteLength(check));
      requireSize(`The check ${name}, with its vectors,`, bytes, MAX_CHECK_BYTES);
      const vectors = await Promise.all(files.map((file) => readVectorFile(directory, file)));
      const isLarge = bytes > MOST_BYTES;
      if (isLarge) await this.#addFiles(vectors);
      const params = { check, files: isLarge ? [] : vectors };
      return await this.#connection.request('device.runCheck', params, { timeoutMs: CHECK_MS, signal });
    } catch (error) {
      if (!isPynqLlmError(error) || !UNREADABLE.has(error.code)) throw error;
      const nothing = { bitMismatches: 0, counterMismatches: 0, cycleMismatches: 0, details: [] };
      return { name, passed: false, ...nothing, error: error.message };
    }
  }

  /** Vectors that one frame cannot have. */
  async #addFiles(vectors: readonly VectorFile[]): Promise<void> {
    for (const { name, data } of vectors)
      for (let offset = 0; offset < data.length; offset += MAX_PIECE_BYTES) {
        const piece = data.subarray(offset, offset + MAX_PIECE_BYTES);
        await this.#connection.request('device.addFile', { name, offset, data: piece });
      }
  }
}

async function readLists(directory: string): Promise<Record<string, string>> {
  const lists: Record<string, string> = {};
  for (const name of ['index', 'counters', 'streams']) {
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
    Object.values(lists).reduce((sum, text) => sum + Buffer.byteLength(text), 0),
    MOST_BYTES,
  );
  return lists;
}

function requireSize(what: string, bytes: number, limit: number): void {
  if (bytes > limit)
    throw new PynqLlmError('SDK_VECTORS_TOO_LARGE', `${what} has ${bytes} bytes; ${limit} can be sent.`, {
      context: { bytes, limit },
    });
}

/** @throws PynqLlmError SDK_VECTORS */
async function sizeOf(directory: string, name: string): Promise<number> {
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
async function readVectorFile(directory: string, name: string): Promise<VectorFile> {
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
