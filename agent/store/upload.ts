import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { PynqLlmError } from '../../errors/index.js';
import { CHUNK_BYTES, chunkCount, DIGEST_BYTES, sha256 } from '../../protocol/index.js';
import { type StoreFs, storeError } from './store-fs.js';

/** Bytes after which the operating system is told to write: a card is slow, and the end should not wait for all of it. */
const WRITE_BACK_BYTES = 16 * 1024 * 1024;

/** What an upload announced about itself; already checked against its digest. */
export interface UploadPlan {
  readonly digest: string;
  readonly byteLength: number;
  readonly chunkDigests: Uint8Array;
}

/**
 * A model on its way into the store: a partial file in which each chunk is written at its place once its digest is
 * verified. Several sessions may send the same model at once; what is content-addressed cannot conflict.
 */
export class Upload {
  readonly plan: UploadPlan;
  /** One byte a chunk: 1 where it is in the partial file, verified. */
  readonly have: Uint8Array;
  readonly #path: string;
  readonly #handle: FileHandle;
  #bytesSinceSync = 0;
  #syncing: Promise<void> | undefined;
  #syncError: unknown;
  #published: Promise<void> | undefined;

  private constructor(plan: UploadPlan, path: string, handle: FileHandle) {
    this.plan = plan;
    this.#path = path;
    this.#handle = handle;
    this.have = new Uint8Array(chunkCount(plan.byteLength));
  }

  /** Opens the partial file at `path` and finds which chunks a broken upload left there, by their digests. */
  static async open(fs: StoreFs, path: string, plan: UploadPlan): Promise<Upload> {
    // 'a+' would ignore positions, and 'r+' needs the file to exist: another process may publish it at any moment.
    const handle = await fs.open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    const upload = new Upload(plan, path, handle);
    try {
      await upload.#verifyExisting((await handle.stat()).size);
    } catch (error) {
      await handle.close();
      throw error;
    }
    return upload;
  }

  get missingBytes(): number {
    return this.have.reduce((sum, present, index) => sum + (present ? 0 : this.chunkLength(index)), 0);
  }

  /** Bytes of the chunk at `index`. */
  chunkLength(index: number): number {
    return Math.min(CHUNK_BYTES, this.plan.byteLength - index * CHUNK_BYTES);
  }

  /**
   * Verifies a chunk and writes it at its place.
   * @param digest SHA-256 of `data`, where it was computed while the bytes came
   * @throws PynqLlmError AGENT_UPLOAD_MISMATCH, AGENT_STORE_FULL
   */
  async writeChunk(index: number, data: Uint8Array, digest?: Uint8Array): Promise<void> {
    if (index >= this.have.length || data.length !== this.chunkLength(index))
      throw new PynqLlmError(
        'AGENT_UPLOAD_MISMATCH',
        `Chunk ${index} of ${data.length} bytes is not one of the ${this.have.length} that were announced.`,
        { context: { index, bytes: data.length } },
      );
    if (!this.#matches(index, digest ?? sha256(data)))
      throw new PynqLlmError('AGENT_UPLOAD_MISMATCH', `Chunk ${index} arrived damaged.`, {
        context: { index },
      });
    if (this.have[index]) return;
    try {
      const { bytesWritten } = await this.#handle.write(data, 0, data.length, index * CHUNK_BYTES);
      // What a file system writes in part, it has no room for.
      if (bytesWritten !== data.length)
        throw new PynqLlmError(
          'AGENT_STORE_FULL',
          `Of a chunk of ${data.length} bytes ${bytesWritten} were written; the chunks before it are kept.`,
          { context: { missingBytes: this.missingBytes } },
        );
    } catch (error) {
      throw storeError(error, 'The upload could not be written; what came before is kept');
    }
    this.have[index] = 1;
    this.#bytesSinceSync += data.length;
    if (this.#bytesSinceSync >= WRITE_BACK_BYTES) this.#writeBack();
  }

  /**
   * Puts the model under its final name once it is whole and safe on the disk. Sessions that ask for it at the same
   * time, or again, share one publication.
   * @throws PynqLlmError AGENT_UPLOAD_INCOMPLETE, AGENT_STORE_FULL, AGENT_STORE_FAILED
   */
  publish(fs: StoreFs, finalPath: string): Promise<void> {
    this.#published ??= this.#publish(fs, finalPath).catch((error: unknown) => {
      this.#published = undefined;
      throw storeError(error, 'The upload could not be published');
    });
    return this.#published;
  }

  /** Makes the file as long as the model: what is not there is a hole. @throws PynqLlmError AGENT_STORE_FULL, AGENT_STORE_FAILED */
  async extend(): Promise<void> {
    try {
      await this.#handle.truncate(this.plan.byteLength);
    } catch (error) {
      throw storeError(error, 'The part of a model could not be made as long as the model');
    }
  }

  /** Lets go of the partial file, which stays for a later attempt. */
  async close(): Promise<void> {
    await this.#published?.catch(() => {});
    await this.#syncing;
    await this.#handle.close();
  }

  async #publish(fs: StoreFs, finalPath: string): Promise<void> {
    const missing = this.have.reduce((sum, present) => sum + (present ? 0 : 1), 0);
    if (missing > 0)
      throw new PynqLlmError(
        'AGENT_UPLOAD_INCOMPLETE',
        `${missing} of ${this.have.length} chunks are missing.`,
        {
          context: { missing, chunks: this.have.length },
        },
      );
    await this.#syncing;
    if (this.#syncError !== undefined) throw this.#syncError;
    // A left-over longer than the model would otherwise be published with it.
    await this.#handle.truncate(this.plan.byteLength);
    await this.#handle.sync();
    await fs.rename(this.#path, finalPath);
  }

  /** The system tells an error of a sync once only, so it is kept for `publish`. */
  #writeBack(): void {
    if (this.#syncing !== undefined) return;
    this.#bytesSinceSync = 0;
    this.#syncing = this.#handle
      .datasync()
      .catch((error: unknown) => {
        this.#syncError = storeError(error, 'The upload could not be brought to the disk');
      })
      .finally(() => {
        this.#syncing = undefined;
      });
  }

  async #verifyExisting(size: number): Promise<void> {
    const chunk = new Uint8Array(CHUNK_BYTES);
    for (let index = 0; index < this.have.length && index * CHUNK_BYTES < size; index++) {
      const length = this.chunkLength(index);
      const { bytesRead } = await this.#handle.read(chunk, 0, length, index * CHUNK_BYTES);
      if (bytesRead === length && this.#matches(index, sha256(chunk.subarray(0, length))))
        this.have[index] = 1;
    }
  }

  #matches(index: number, digest: Uint8Array): boolean {
    const expected = this.plan.chunkDigests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
    return Buffer.compare(digest, expected) === 0;
  }
}
