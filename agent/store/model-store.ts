import { PynqLlmError } from '../../errors/index.js';
import { CHUNK_BYTES, chunkCount, DIGEST_BYTES, modelDigest } from '../../protocol/index.js';
import { ModelNames } from './model-names.js';
import { hasCode, nodeFs, type StoreFs, syncDirectory } from './store-fs.js';
import { Upload, type UploadPlan } from './upload.js';

/** Left free on the file system: logs and the operating system need some. */
const RESERVE_BYTES = 64 * 1024 * 1024;
/** A partial upload that nobody continued for so long is removed. */
const PARTIAL_AGE_MS = 7 * 24 * 3600 * 1000;
const SUFFIX = '.gguf';

/** A model of the store. */
export interface StoreEntry {
  readonly digest: string;
  readonly names: readonly string[];
  readonly bytes: number;
}

/**
 * Models on the board's file system, named by their digests:
 * `models/DIGEST.gguf`, `partial/DIGEST` while one is uploaded, and `names.json` for people.
 */
export class ModelStore {
  readonly #fs: StoreFs;
  readonly #directory: string;
  readonly #names: ModelNames;
  /** Uploads under way, with how many sessions take part. */
  readonly #uploads = new Map<string, { readonly upload: Promise<Upload>; users: number }>();

  private constructor(directory: string, fs: StoreFs) {
    this.#fs = fs;
    this.#directory = directory;
    this.#names = new ModelNames(fs, directory);
  }

  /** Opens the store, makes its directories, and removes partial uploads that nobody continued for a week. */
  static async open(directory: string, fs: StoreFs = nodeFs): Promise<ModelStore> {
    const store = new ModelStore(directory, fs);
    try {
      await fs.mkdir(`${directory}/models`, { recursive: true, mode: 0o700 });
      await fs.mkdir(`${directory}/partial`, { recursive: true, mode: 0o700 });
      await store.#removeOldPartials();
      await store.#names.read();
    } catch (cause) {
      if (cause instanceof PynqLlmError) throw cause;
      throw new PynqLlmError('AGENT_STORE_FAILED', `The model store ${directory} cannot be opened.`, {
        cause,
      });
    }
    return store;
  }

  async list(): Promise<StoreEntry[]> {
    const names = await this.#names.read();
    const entries: StoreEntry[] = [];
    for (const file of (await this.#fs.readdir(`${this.#directory}/models`)).toSorted()) {
      if (!/^[0-9a-f]{64}\.gguf$/.test(file)) continue;
      const entry = await this.#entry(file.slice(0, -SUFFIX.length), names);
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
  }

  async find(digest: string): Promise<StoreEntry | undefined> {
    return this.#entry(digest, await this.#names.read());
  }

  /** Path of a model's file. @param digest 64 hexadecimal digits */
  path(digest: string): string {
    return `${this.#directory}/models/${digest}${SUFFIX}`;
  }

  /** Gives a model a further name. */
  name(digest: string, name: string): Promise<void> {
    return this.#names.set(name, digest);
  }

  /**
   * Begins or continues an upload; end it with `release`.
   * @throws PynqLlmError AGENT_UPLOAD_MISMATCH where the chunk digests are not those of the digest, AGENT_STORE_FULL
   */
  async begin(plan: UploadPlan): Promise<Upload> {
    const chunks = plan.chunkDigests.length / DIGEST_BYTES;
    if (
      chunks !== chunkCount(plan.byteLength) ||
      modelDigest(plan.byteLength, plan.chunkDigests) !== plan.digest
    )
      throw new PynqLlmError(
        'AGENT_UPLOAD_MISMATCH',
        `${chunks} chunk digests and ${plan.byteLength} bytes do not make the digest ${plan.digest}.`,
        { remedy: 'Cut the file into chunks of 1 MiB and compute the digest as the protocol says.' },
      );
    let entry = this.#uploads.get(plan.digest);
    if (entry === undefined) {
      entry = { upload: Upload.open(this.#fs, this.#partialPath(plan.digest), plan), users: 0 };
      this.#uploads.set(plan.digest, entry);
    }
    entry.users++;
    try {
      const upload = await entry.upload;
      await this.#requireRoom(upload.missingBytes);
      return upload;
    } catch (error) {
      await this.release(plan.digest);
      throw error;
    }
  }

  /** A session's part in an upload is over; what was received stays. */
  async release(digest: string): Promise<void> {
    const entry = this.#uploads.get(digest);
    if (entry === undefined || --entry.users > 0) return;
    this.#uploads.delete(digest);
    const upload = await entry.upload.catch(() => undefined);
    await upload?.close();
  }

  /** Lets go of every upload; nothing is lost by it. */
  async close(): Promise<void> {
    for (const [digest, entry] of [...this.#uploads]) {
      entry.users = 1;
      await this.release(digest);
    }
  }

  /** Publishes a complete upload under its digest and gives it the name. @throws PynqLlmError AGENT_UPLOAD_INCOMPLETE */
  async publish(upload: Upload, name: string): Promise<void> {
    const { digest } = upload.plan;
    try {
      await upload.publish(this.#fs, this.path(digest));
      await syncDirectory(this.#fs, `${this.#directory}/models`);
    } catch (error) {
      // Another session, or another process, published the same content first.
      if (!hasCode(error, 'ENOENT') || (await this.find(digest)) === undefined) throw error;
    }
    await this.#names.set(name, digest);
  }

  /** Removes what was received of an upload that no session continues. */
  async removePartial(digest: string): Promise<void> {
    if (!this.#uploads.has(digest)) await this.#unlink(this.#partialPath(digest));
  }

  /** Removes a model and its names. */
  async delete(digest: string): Promise<void> {
    await this.#unlink(this.path(digest));
    await syncDirectory(this.#fs, `${this.#directory}/models`);
    await this.#names.forget(digest);
  }

  /** Bytes that uploads may still take. */
  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await this.#fs.statfs(this.#directory);
    return Math.max(0, bavail * bsize - RESERVE_BYTES);
  }

  async #requireRoom(needed: number): Promise<void> {
    const free = await this.freeBytes();
    if (needed > free)
      throw new PynqLlmError(
        'AGENT_STORE_FULL',
        `The upload needs ${needed} bytes more and ${free} may be used in ${this.#directory} (chunks of ${CHUNK_BYTES} bytes that came are kept).`,
        { context: { neededBytes: needed, freeBytes: free, reserveBytes: RESERVE_BYTES } },
      );
  }

  async #entry(digest: string, names: ReadonlyMap<string, string>): Promise<StoreEntry | undefined> {
    try {
      const { size } = await this.#fs.stat(this.path(digest));
      return {
        digest,
        bytes: size,
        names: [...names].filter(([, named]) => named === digest).map(([name]) => name),
      };
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  #partialPath(digest: string): string {
    return `${this.#directory}/partial/${digest}`;
  }

  async #unlink(path: string): Promise<void> {
    try {
      await this.#fs.unlink(path);
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error;
    }
  }

  async #removeOldPartials(): Promise<void> {
    for (const name of await this.#fs.readdir(`${this.#directory}/partial`)) {
      const path = `${this.#directory}/partial/${name}`;
      if (Date.now() - (await this.#fs.stat(path)).mtimeMs > PARTIAL_AGE_MS) await this.#unlink(path);
    }
  }
}
