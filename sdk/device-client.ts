import { readFile, stat } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { PynqLlmError } from '../errors/index.js';
import { type DeviceCheckResult, MAX_FRAME_BYTES, type Result } from '../protocol/index.js';
import type { Connection } from './connection.js';

/** A check repeats its MatMul once per state of the counters. */
const CHECK_MS = 10 * 60_000;
/** What of a frame is left to vectors and lists. */
const MOST_BYTES = MAX_FRAME_BYTES - 64 * 1024;

type Check = Result<'device.listChecks'>['checks'][number];

export interface SelfTestOptions {
  readonly onCheck?: ((result: DeviceCheckResult) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Which checks to make, by name; all unless given. */
  readonly only?: ((name: string) => boolean) | undefined;
}

export interface SelfTestSummary {
  readonly device: string;
  readonly revision: 'v1' | 'v3';
  readonly cases: number;
  readonly passed: number;
  /** Results that differ from the golden ones, NaN as a class. */
  readonly bitMismatches: number;
  readonly counterMismatches: number;
  readonly cycleMismatches: number;
}

/** Direct work with the core: `board.device`. Needs the role admin. */
export class DeviceClient {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * Runs every golden MatMul, counter table and word stream of a folder through the driver of the device.
   * @param directory with index.json, counters.json, streams.json (each may be absent) and the vector files
   * @throws PynqLlmError SDK_VECTORS, SDK_VECTORS_TOO_LARGE, DRIVER_BAD_VECTOR
   */
  async selfTest(directory: string, options: SelfTestOptions = {}): Promise<SelfTestSummary> {
    const { device, description } = await this.#connection.request('board.info', {});
    const lists = await readLists(directory);
    const all = (await this.#connection.request('device.listChecks', lists)).checks;
    const checks = all.filter(({ name }) => options.only?.(name) !== false);
    // Before the first check rather than in the middle of them.
    for (const check of checks) await requireSendable(directory, check);
    const total = { cases: 0, passed: 0, bitMismatches: 0, counterMismatches: 0, cycleMismatches: 0 };
    for (const { check, files } of checks) {
      options.signal?.throwIfAborted();
      const params = {
        check,
        files: await Promise.all(
          files.map(async (file) => ({ name: file, data: await readVectorFile(join(directory, file)) })),
        ),
      };
      const result = await this.#connection.request('device.runCheck', params, {
        timeoutMs: CHECK_MS,
        signal: options.signal,
      });
      total.cases++;
      if (result.passed) total.passed++;
      total.bitMismatches += result.bitMismatches;
      total.counterMismatches += result.counterMismatches;
      total.cycleMismatches += result.cycleMismatches;
      options.onCheck?.(result);
    }
    return { device, revision: description.revision, ...total };
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
    totalOf(Object.values(lists).map((text) => Buffer.byteLength(text))),
  );
  return lists;
}

/** @throws PynqLlmError SDK_VECTORS, SDK_VECTORS_TOO_LARGE */
async function requireSendable(directory: string, { name, check, files }: Check): Promise<void> {
  const sizes = files.map(async (file) => {
    const path = resolve(directory, file);
    // The agent says which files a check needs: it must not get at others than those of the folder.
    if (!path.startsWith(resolve(directory) + sep)) throw unreadable(path, undefined);
    try {
      return (await stat(path)).size;
    } catch (cause) {
      throw unreadable(path, cause);
    }
  });
  requireSize(
    `The check ${name}, with its vectors,`,
    totalOf(await Promise.all(sizes)) + Buffer.byteLength(check),
  );
}

function requireSize(what: string, bytes: number): void {
  if (bytes > MOST_BYTES)
    throw new PynqLlmError(
      'SDK_VECTORS_TOO_LARGE',
      `${what} has ${bytes} bytes; ${MOST_BYTES} can be sent.`,
      {
        context: { bytes, limit: MOST_BYTES },
      },
    );
}

function totalOf(sizes: readonly number[]): number {
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function readVectorFile(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
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
