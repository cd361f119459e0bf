import { Readable } from 'node:stream';
import { PynqLlmError } from '../../errors/index.js';
import { CHUNK_BYTES, type OnProgress } from '../../protocol/index.js';
import { receiveChunks } from './receive-chunks.js';
import { removeFile, type StoreFs } from './store-fs.js';
import { Upload, type UploadPlan } from './upload.js';

/** Chunks that are asked for together: between two of them it is told how far it is. */
const CHUNKS = 4;

/** Which chunks of a model are wanted, and who has them. */
export interface PartPlan extends UploadPlan {
  /** One byte a chunk: 1 where it is wanted. */
  readonly wanted: Uint8Array;
  /** The bytes from `offset` on, in pieces of any size. */
  readonly read: (offset: number, byteLength: number) => AsyncIterable<Uint8Array>;
}

/**
 * Models of which the board has some chunks alone, those of its layers: files as large as the models, with holes. What is in them was
 * verified by the chunks' digests.
 */
export class ModelParts {
  readonly #fs: StoreFs;
  readonly #directory: string;
  readonly #makeRoom: (bytes: number) => Promise<number>;

  /** @param makeRoom for so many bytes, as far as that can be. @returns how many may be used */
  constructor(fs: StoreFs, directory: string, makeRoom: (bytes: number) => Promise<number>) {
    this.#fs = fs;
    this.#directory = directory;
    this.#makeRoom = makeRoom;
  }

  /** Of the models that there are parts of. */
  async digests(): Promise<string[]> {
    return (await this.#fs.readdir(this.#directory)).filter((file) => /^[0-9a-f]{64}$/.test(file));
  }

  /** Removes those of models whose whole files are there. */
  async tidy(whole: readonly string[]): Promise<void> {
    const stored = new Set(whole);
    for (const digest of await this.digests()) if (stored.has(digest)) await this.delete(digest);
  }

  path(digest: string): string {
    return `${this.#directory}/${digest}`;
  }

  /**
   * Fetches the wanted chunks that are not there yet.
   * @throws PynqLlmError AGENT_UPLOAD_MISMATCH, AGENT_STORE_FULL, AGENT_STORE_FAILED; as `read`
   */
  async fetch({ wanted, read, ...plan }: PartPlan, onProgress: OnProgress): Promise<void> {
    const upload = await Upload.open(this.#fs, this.path(plan.digest), plan);
    try {
      const missing = [...wanted.keys()].filter((index) => wanted[index] === 1 && upload.have[index] === 0);
      const bytes = missing.reduce((sum, index) => sum + upload.chunkLength(index), 0);
      const free = await this.#makeRoom(bytes);
      if (bytes > free)
        throw new PynqLlmError(
          'AGENT_STORE_FULL',
          `The board's layers of the model need ${bytes} bytes more, and ${free} may be used.`,
          { context: { neededBytes: bytes, freeBytes: free } },
        );
      let done = 0;
      for (let at = 0; at < missing.length; ) {
        const first = missing[at]!;
        let count = 1;
        while (count < CHUNKS && missing[at + count] === first + count) count++;
        const offset = first * CHUNK_BYTES;
        const byteLength = Math.min((first + count) * CHUNK_BYTES, plan.byteLength) - offset;
        const range = { offset, byteLength, modelBytes: plan.byteLength };
        await receiveChunks(upload, range, Readable.from(read(offset, byteLength), { highWaterMark: 1 }));
        done += byteLength;
        onProgress(done, bytes, 'bytes');
        at += count;
      }
      await upload.extend();
    } finally {
      await upload.close();
    }
  }

  async delete(digest: string): Promise<void> {
    await removeFile(this.#fs, this.path(digest));
  }
}
