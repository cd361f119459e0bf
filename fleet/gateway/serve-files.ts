import { type FileHandle, open } from 'node:fs/promises';
import type { ModelStore } from '../../agent/index.js';
import type { Bus, Subscription } from '../../bus/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { CHUNK_BYTES, chunkCount, DIGEST_BYTES, sha256 } from '../../protocol/index.js';
import { fileQuestion, pack, pieceQuestion, unpack } from '../messages.js';
import { MODEL_FILE, MODEL_PIECE } from '../subjects.js';
import { chunksOfStage } from './chunks-of-stage.js';

/** Models whose chunks' digests are kept: 2 MiB for the largest. */
const MOST_KEPT = 16;

/** Sends boards the models of the gateway's store: what a file is, and pieces of it. */
export function serveFiles(bus: Bus, store: ModelStore): Disposable {
  const digests = new Map<string, Promise<Uint8Array>>();
  const find = async (digest: string) => {
    const entry = await store.find(digest);
    if (entry !== undefined) return entry;
    throw new PynqLlmError('AGENT_MODEL_UNKNOWN', `The gateway has no model ${digest}.`, {
      context: { model: digest },
    });
  };
  const digestsOf = (digest: string, bytes: number): Promise<Uint8Array> => {
    const known = digests.get(digest);
    if (known !== undefined) return known;
    const computed = digestChunks(store.path(digest), bytes);
    digests.set(digest, computed);
    computed.catch(() => digests.delete(digest));
    for (const oldest of [...digests.keys()].slice(0, -MOST_KEPT)) digests.delete(oldest);
    return computed;
  };
  const subscriptions: Subscription[] = [
    bus.answer(MODEL_FILE, async ({ data }) => {
      const { digest, stage } = unpack(fileQuestion, data, 'The question for a model');
      const { bytes, names } = await find(digest);
      const name = names[0] ?? digest.slice(0, 12);
      const chunkDigests = await digestsOf(digest, bytes);
      const wanted = stage && chunksOfStage(store.path(digest), bytes, stage);
      return pack({ name, bytes, chunkDigests, wanted });
    }),
    bus.answer(MODEL_PIECE, async ({ data }) => {
      const { digest, offset, byteLength } = unpack(
        pieceQuestion,
        data,
        'The question for a piece of a model',
      );
      const { bytes } = await find(digest);
      if (offset + byteLength > bytes)
        throw new PynqLlmError(
          'FLEET_BAD_MESSAGE',
          `Bytes ${offset} to ${offset + byteLength - 1} of a model of ${bytes} were asked for.`,
        );
      return withFile(store.path(digest), (file) => read(file, offset, new Uint8Array(byteLength)));
    }),
  ];
  return {
    [Symbol.dispose]: () => {
      for (const subscription of subscriptions) subscription.close();
    },
  };
}

async function digestChunks(path: string, bytes: number): Promise<Uint8Array> {
  const all = new Uint8Array(chunkCount(bytes) * DIGEST_BYTES);
  await withFile(path, async (file) => {
    const memory = new Uint8Array(CHUNK_BYTES);
    for (let index = 0; index * CHUNK_BYTES < bytes; index++) {
      const offset = index * CHUNK_BYTES;
      const chunk = memory.subarray(0, Math.min(CHUNK_BYTES, bytes - offset));
      all.set(sha256(await read(file, offset, chunk)), index * DIGEST_BYTES);
    }
  });
  return all;
}

async function withFile<T>(path: string, work: (file: FileHandle) => Promise<T>): Promise<T> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (cause) {
    throw new PynqLlmError('AGENT_STORE_FAILED', `The model ${path} cannot be read.`, { cause });
  }
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

async function read(file: FileHandle, offset: number, into: Uint8Array): Promise<Uint8Array> {
  const { bytesRead } = await file.read(into, 0, into.length, offset);
  if (bytesRead === into.length) return into;
  throw new PynqLlmError('AGENT_STORE_FAILED', 'A model of the store became shorter while it was read.');
}
