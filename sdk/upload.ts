import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { isPynqLlmError, PynqLlmError } from '../errors/index.js';
import {
  CHUNK_BYTES,
  chunkCount,
  DIGEST_BYTES,
  MAX_UPLOAD_BODY_BYTES,
  modelDigest,
  type OnProgress,
  type StoredModel,
  sha256,
} from '../protocol/index.js';
import { type Connection, isBroken } from './connection.js';
import { delay } from './delay.js';

/** Chunks under way at the same time: the next one is read while one is hashed. */
const LANES = 4;
/** Attempts in a row that bring nothing forward, after which a broken upload is given up. */
const MAX_FRUITLESS = 5;
const REQUEST_TIMEOUT_MS = 120_000;
/** More than the agent gives a request that comes to it. */
const BODY_TIMEOUT_MS = 60_000;
/** A body that took less is followed by a larger one, one that took more by a smaller one. */
const FAST_MS = 500;
const SLOW_MS = 2_000;
/** Where others send too many bodies at a time, it is tried again after so long. */
const BUSY_MS = 2_000;
const BUSY: ReadonlySet<string> = new Set(['AGENT_UPLOADS_BUSY', 'AGENT_TOO_MANY_SESSIONS']);
/** The session that began the upload is gone, or goes. */
const BEGUN_ANEW: ReadonlySet<string> = new Set(['AGENT_UPLOAD_UNKNOWN', 'AGENT_UPLOAD_ENDED']);

/** `digest` while the file is hashed, `send` while what the board lacks of it is sent. */
export type UploadPhase = 'digest' | 'send';

/** How a model is put on a board. */
export interface UploadOptions {
  /** The model's name on the board; the file's name unless given. */
  readonly name?: string | undefined;
  /** Told when a phase begins. One that a broken connection interrupts begins again. */
  readonly onPhase?: ((phase: UploadPhase) => void) | undefined;
  /** Told how many bytes are hashed, and then, in the next phase, how many the board has. */
  readonly onProgress?: OnProgress | undefined;
  /** Gives up; what came is kept for the next attempt. */
  readonly signal?: AbortSignal | undefined;
}

interface Source {
  readonly byteLength: number;
  /** @param into memory that the chunk may be read into */
  readChunk(index: number, into: Uint8Array): Promise<Uint8Array>;
}

/**
 * Puts a model into the board's store. Sends only what the board does not have, by digest, and goes on by itself
 * after the connection broke.
 *
 * @param model path of a file, or the bytes
 * @throws PynqLlmError SDK_MODEL_FILE, AGENT_STORE_FULL, AGENT_UPLOAD_MISMATCH, SDK_CONNECTION_LOST
 */
export async function upload(
  connection: Connection,
  model: string | Uint8Array,
  options: UploadOptions,
): Promise<StoredModel> {
  const name = options.name ?? (typeof model === 'string' ? basename(model) : 'model.gguf');
  if (typeof model !== 'string') return uploadSource(connection, bytesSource(model), name, options);
  let file: FileHandle;
  try {
    file = await open(model);
  } catch (cause) {
    throw new PynqLlmError('SDK_MODEL_FILE', `${model} cannot be opened.`, {
      cause,
      context: { path: model },
    });
  }
  try {
    return await uploadSource(connection, await fileSource(file, model), name, options);
  } finally {
    await file.close();
  }
}

async function uploadSource(
  connection: Connection,
  source: Source,
  name: string,
  options: UploadOptions,
): Promise<StoredModel> {
  const chunkDigests = await digestChunks(source, options);
  const announced = {
    digest: modelDigest(source.byteLength, chunkDigests),
    name,
    bytes: source.byteLength,
    chunkDigests,
  };
  let id: string | undefined;
  let most = -1;
  const pace = new Pace();
  for (let fruitless = 0; ; ) {
    let have: Uint8Array | undefined;
    try {
      if (id === undefined) {
        const begun = await connection.request('models.uploadBegin', announced, {
          signal: options.signal,
          timeoutMs: REQUEST_TIMEOUT_MS,
        });
        options.onPhase?.('send');
        if (begun.state === 'complete') {
          options.onProgress?.(source.byteLength, source.byteLength, 'bytes');
          return begun.model;
        }
        ({ upload: id, have } = begun);
      } else ({ have } = await connection.request('models.uploadHave', { upload: id }, options));
      await sendChunks(connection, source, id, have, pace, options);
      return await connection.request(
        'models.uploadCommit',
        { upload: id },
        { signal: options.signal, timeoutMs: REQUEST_TIMEOUT_MS },
      );
    } catch (error) {
      if (!isPynqLlmError(error)) throw error;
      // Uploads are their session's: the next one begins it again, and sends what is missing.
      if (BEGUN_ANEW.has(error.code) && id !== undefined) id = undefined;
      else if (!isBroken(error) && !BUSY.has(error.code)) throw error;
      pace.slower();
      const present = have?.reduce((sum, one) => sum + one, 0) ?? 0;
      fruitless = present > most ? 0 : fruitless + 1;
      most = Math.max(most, present);
      if (fruitless >= MAX_FRUITLESS) throw error;
      if (BUSY.has(error.code)) await delay(BUSY_MS, options.signal);
      await connection.ready();
    }
  }
}

async function digestChunks(source: Source, options: UploadOptions): Promise<Uint8Array> {
  options.onPhase?.('digest');
  const digests = new Uint8Array(chunkCount(source.byteLength) * DIGEST_BYTES);
  let bytes = 0;
  await inLanes(chunkCount(source.byteLength), async (index, memory) => {
    options.signal?.throwIfAborted();
    const chunk = await source.readChunk(index, memory);
    digests.set(sha256(chunk), index * DIGEST_BYTES);
    bytes += chunk.length;
    options.onProgress?.(bytes, source.byteLength, 'bytes');
  });
  return digests;
}

/** @param have one byte a chunk, which becomes 1 once the board has it */
async function sendChunks(
  connection: Connection,
  source: Source,
  id: string,
  have: Uint8Array,
  pace: Pace,
  { signal, onProgress }: UploadOptions,
): Promise<void> {
  let bytes = have.reduce((sum, one, index) => sum + (one === 0 ? 0 : chunkLength(source, index)), 0);
  onProgress?.(bytes, source.byteLength, 'bytes');
  for (let first = have.indexOf(0); first >= 0; first = have.indexOf(0, first)) {
    const next = have.indexOf(1, first);
    const end = Math.min(next < 0 ? have.length : next, first + pace.chunks);
    const offset = first * CHUNK_BYTES;
    const byteLength = Math.min(end * CHUNK_BYTES, source.byteLength) - offset;
    const range = { offset, byteLength, modelBytes: source.byteLength };
    const body = Readable.from(readChunks(source, first, end), { highWaterMark: 1 });
    const started = performance.now();
    await connection.sendUpload(id, range, body, { signal, timeoutMs: BODY_TIMEOUT_MS });
    pace.took(performance.now() - started);
    have.fill(1, first, end);
    bytes += byteLength;
    onProgress?.(bytes, source.byteLength, 'bytes');
  }
}

async function* readChunks(source: Source, first: number, end: number): AsyncGenerator<Uint8Array> {
  for (let index = first; index < end; index++)
    yield await source.readChunk(index, new Uint8Array(CHUNK_BYTES));
}

/** How many chunks one body has: few on a slow line, so that progress is told and a broken one costs little. */
class Pace {
  chunks = 1;

  took(ms: number): void {
    if (ms < FAST_MS) this.chunks = Math.min(MAX_UPLOAD_BODY_BYTES / CHUNK_BYTES, this.chunks * 2);
    else if (ms > SLOW_MS) this.slower();
  }

  slower(): void {
    this.chunks = Math.max(1, this.chunks >> 1);
  }
}

/** Does the work for 0..count-1, some at a time, in order of their start; ends with the first error. */
async function inLanes(
  count: number,
  work: (index: number, memory: Uint8Array) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const lane = async () => {
    // New memory for every chunk costs more than reading it.
    const memory = new Uint8Array(CHUNK_BYTES);
    while (next < count && !failed) {
      try {
        await work(next++, memory);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(LANES, count) }, lane));
}

function chunkLength(source: Source, index: number): number {
  return Math.min(CHUNK_BYTES, source.byteLength - index * CHUNK_BYTES);
}

function bytesSource(bytes: Uint8Array): Source {
  requireBytes(bytes.length, 'The model');
  return {
    byteLength: bytes.length,
    readChunk: async (index) => bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES),
  };
}

async function fileSource(file: FileHandle, path: string): Promise<Source> {
  const facts = await file.stat();
  if (!facts.isFile())
    throw new PynqLlmError('SDK_MODEL_FILE', `${path} is not a regular file.`, { context: { path } });
  const byteLength = facts.size;
  requireBytes(byteLength, path);
  return {
    byteLength,
    async readChunk(index, into) {
      const chunk = into.subarray(0, Math.min(CHUNK_BYTES, byteLength - index * CHUNK_BYTES));
      const { bytesRead } = await file.read(chunk, 0, chunk.length, index * CHUNK_BYTES);
      if (bytesRead === chunk.length) return chunk;
      throw new PynqLlmError('SDK_MODEL_FILE', `${path} became shorter while it was uploaded.`, {
        context: { path },
      });
    },
  };
}

function requireBytes(byteLength: number, what: string): void {
  if (byteLength === 0) throw new PynqLlmError('SDK_MODEL_FILE', `${what} is empty.`);
}
