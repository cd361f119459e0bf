import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { PynqLlmError } from '../errors/index.js';
import {
  CHUNK_BYTES,
  chunkCount,
  DIGEST_BYTES,
  modelDigest,
  type OnProgress,
  type StoredModel,
  sha256,
} from '../protocol/index.js';
import { type Connection, isBroken } from './connection.js';

/** Chunks under way at the same time: the next one is read while one is hashed, or verified by the board. */
const LANES = 4;
/** Beside the chunk, what its frame has. */
const FRAME_OVERHEAD = 4_096;
/** Attempts in a row that bring nothing forward, after which a broken upload is given up. */
const MAX_FRUITLESS = 5;
const CHUNK_TIMEOUT_MS = 120_000;

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
  /** @param into may hold the chunk, which is valid until `into` is given again */
  readChunk(index: number, into: Uint8Array): Promise<Uint8Array>;
}

/** Memory of one lane: new memory for every chunk costs more than reading it. */
interface LaneMemory {
  readonly chunk: Uint8Array;
  readonly frame: Uint8Array;
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
  let most = -1;
  for (let fruitless = 0; ; ) {
    let present = 0;
    try {
      const begun = await connection.request('models.uploadBegin', announced, {
        signal: options.signal,
        timeoutMs: CHUNK_TIMEOUT_MS,
      });
      options.onPhase?.('send');
      if (begun.state === 'complete') {
        options.onProgress?.(source.byteLength, source.byteLength, 'bytes');
        return begun.model;
      }
      present = begun.have.reduce((sum, one) => sum + one, 0);
      await sendChunks(connection, source, begun.upload, begun.have, options);
      return await connection.request(
        'models.uploadCommit',
        { upload: begun.upload },
        { signal: options.signal, timeoutMs: CHUNK_TIMEOUT_MS },
      );
    } catch (error) {
      if (!isBroken(error)) throw error;
      fruitless = present > most ? 0 : fruitless + 1;
      most = Math.max(most, present);
      if (fruitless >= MAX_FRUITLESS) throw error;
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
    const chunk = await source.readChunk(index, memory.chunk);
    digests.set(sha256(chunk), index * DIGEST_BYTES);
    bytes += chunk.length;
    options.onProgress?.(bytes, source.byteLength, 'bytes');
  });
  return digests;
}

async function sendChunks(
  connection: Connection,
  source: Source,
  uploadId: number,
  have: Uint8Array,
  options: UploadOptions,
): Promise<void> {
  const missing = [...have.keys()].filter((index) => have[index] === 0);
  let bytes = source.byteLength - missing.reduce((sum, index) => sum + chunkLength(source, index), 0);
  await inLanes(missing.length, async (position, memory) => {
    const index = missing[position];
    const data = await source.readChunk(index, memory.chunk);
    await connection.request(
      'models.uploadChunk',
      { upload: uploadId, index, data },
      { signal: options.signal, timeoutMs: CHUNK_TIMEOUT_MS, scratch: memory.frame },
    );
    bytes += data.length;
    options.onProgress?.(bytes, source.byteLength, 'bytes');
  });
}

/** Does the work for 0..count-1, some at a time, in order of their start; ends with the first error. */
async function inLanes(
  count: number,
  work: (index: number, memory: LaneMemory) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const lane = async () => {
    const memory = {
      chunk: new Uint8Array(CHUNK_BYTES),
      frame: new Uint8Array(CHUNK_BYTES + FRAME_OVERHEAD),
    };
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
