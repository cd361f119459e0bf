import { Readable } from 'node:stream';
import { isPynqLlmError } from '../errors/index.js';
import type { ByteSource } from '../gguf/index.js';
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
import { isBroken } from './broken.js';
import type { Connection } from './connection.js';
import { delay } from './delay.js';
import { openModel } from './model-file.js';

/** Chunks under way at the same time: the next one is read while one is hashed. */
const LANES = 4;
/** Attempts in a row that bring nothing forward, after which a broken upload is given up. */
const MAX_FRUITLESS = 5;
const REQUEST_TIMEOUT_MS = 120_000;
/** Beside that: what a broken upload has left is read from a card and hashed before `models.uploadBegin` is answered. */
const HASHED_BYTES_PER_MS = 1_000;
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
  /** The model's name on the board; the file's name unless given, without the number of a part. */
  readonly name?: string | undefined;
  /** Told when a phase begins. One that a broken connection interrupts begins again. */
  readonly onPhase?: ((phase: UploadPhase) => void) | undefined;
  /** Told how many bytes are hashed, and then, in the next phase, how many the board has. */
  readonly onProgress?: OnProgress | undefined;
  /** Gives up; what came is kept for the next attempt. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Puts a model into the board's store. Sends only what the board does not have, by digest, and goes on by itself
 * after the connection broke.
 *
 * @param model path of a file, of the first one of a split model, or the bytes
 * @throws PynqLlmError SDK_MODEL_FILE, GGUF_READ_FAILED, of a split model GGUF_SPLIT_..., AGENT_STORE_FULL, AGENT_UPLOAD_MISMATCH, SDK_CONNECTION_LOST
 */
export async function upload(
  connection: Connection,
  model: string | Uint8Array,
  options: UploadOptions,
): Promise<StoredModel> {
  using opened = openModel(model);
  return await uploadSource(connection, opened.source, options.name ?? opened.name, options);
}

async function uploadSource(
  connection: Connection,
  source: ByteSource,
  name: string,
  options: UploadOptions,
): Promise<StoredModel> {
  const chunkDigests = await digestChunks(source, options);
  const announced = {
    digest: modelDigest(source.size, chunkDigests),
    name,
    bytes: source.size,
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
          timeoutMs: REQUEST_TIMEOUT_MS + Math.ceil(source.size / HASHED_BYTES_PER_MS),
        });
        options.onPhase?.('send');
        if (begun.state === 'complete') {
          options.onProgress?.(source.size, source.size, 'bytes');
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

async function digestChunks(source: ByteSource, options: UploadOptions): Promise<Uint8Array> {
  options.onPhase?.('digest');
  const digests = new Uint8Array(chunkCount(source.size) * DIGEST_BYTES);
  let bytes = 0;
  await inLanes(chunkCount(source.size), async (index, memory) => {
    options.signal?.throwIfAborted();
    const chunk = readChunk(source, index, memory);
    digests.set(sha256(chunk), index * DIGEST_BYTES);
    bytes += chunk.length;
    options.onProgress?.(bytes, source.size, 'bytes');
  });
  return digests;
}

/** @param have one byte a chunk, which becomes 1 once the board has it */
async function sendChunks(
  connection: Connection,
  source: ByteSource,
  id: string,
  have: Uint8Array,
  pace: Pace,
  { signal, onProgress }: UploadOptions,
): Promise<void> {
  let bytes = have.reduce((sum, one, index) => sum + (one === 0 ? 0 : chunkLength(source, index)), 0);
  onProgress?.(bytes, source.size, 'bytes');
  for (let first = have.indexOf(0); first >= 0; first = have.indexOf(0, first)) {
    const next = have.indexOf(1, first);
    const end = Math.min(next < 0 ? have.length : next, first + pace.chunks);
    const offset = first * CHUNK_BYTES;
    const byteLength = Math.min(end * CHUNK_BYTES, source.size) - offset;
    const range = { offset, byteLength, modelBytes: source.size };
    const body = Readable.from(readChunks(source, first, end), { highWaterMark: 1 });
    const started = performance.now();
    await connection.sendUpload(id, range, body, { signal, timeoutMs: BODY_TIMEOUT_MS });
    pace.took(performance.now() - started);
    have.fill(1, first, end);
    bytes += byteLength;
    onProgress?.(bytes, source.size, 'bytes');
  }
}

async function* readChunks(source: ByteSource, first: number, end: number): AsyncGenerator<Uint8Array> {
  for (let index = first; index < end; index++) yield readChunk(source, index, new Uint8Array(CHUNK_BYTES));
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

function chunkLength(source: ByteSource, index: number): number {
  return Math.min(CHUNK_BYTES, source.size - index * CHUNK_BYTES);
}

/** @param into memory that the chunk is read into */
function readChunk(source: ByteSource, index: number, into: Uint8Array): Uint8Array {
  const chunk = into.subarray(0, chunkLength(source, index));
  source.readInto(index * CHUNK_BYTES, chunk);
  return chunk;
}
