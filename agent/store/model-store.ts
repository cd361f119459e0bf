import { PynqLlmError } from '../../errors/index.js';
import { CHUNK_BYTES, chunkCount, DIGEST_BYTES, modelDigest } from '../../protocol/index.js';
import { ModelNames } from './model-names.js';
import { hasCode, nodeFs, type StoreFs, storeError, syncDirectory } from './store-fs.js';
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

/** An upload under way. */
interface OpenUpload {
  readonly digest: string;
  readonly upload: Promise<Upload>;
  /** Sessions that take part. */
  users: number;
  /** Not any more once it is published: what is uploaded after the model was deleted is another file. */
  joinable: boolean;
}

/**
 * Models on the board's file system, named by their digests:
 * `models/DIGEST.gguf`, `partial/DIGEST` while one is uploaded, and `names.json` for people.
 */
export class ModelStore {
  readonly #fs: StoreFs;
  readonly #directory: string;
  readonly #names: ModelNames;
  readonly #uploads = new Set<OpenUpload>();
  readonly #openUploads = new WeakMap<Upload, OpenUpload>();

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
      throw storeError(cause, `The model store ${directory} cannot be opened`);
    }
    return store;
  }

  /** @throws PynqLlmError AGENT_STORE_FAILED */
  list(): Promise<StoreEntry[]> {
    return this.#typed('The models of the store cannot be listed', () => this.#list());
  }

  /** @throws PynqLlmError AGENT_STORE_FAILED */
  find(digest: string): Promise<StoreEntry | undefined> {
    return this.#typed('The store cannot be read', async () => this.#entry(digest, await this.#names.read()));
  }

  /** Path of a model's file. @param digest 64 hexadecimal digits */
  path(digest: string): string {
    return `${this.#directory}/models/${digest}${SUFFIX}`;
  }

  /** Gives a model a further name. @throws PynqLlmError AGENT_STORE_FULL, AGENT_STORE_FAILED */
  name(digest: string, name: string): Promise<void> {
    return this.#typed('The name could not be written', () => this.#names.set(name, digest));
  }

  /**
   * Begins or continues an upload; end it with `release`.
   * @throws PynqLlmError AGENT_UPLOAD_MISMATCH where the chunk digests are not those of the digest, AGENT_STORE_FULL,
   *   AGENT_STORE_FAILED
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
    const open = this.#join(plan);
    try {
      const upload = await open.upload;
      this.#openUploads.set(upload, open);
      await this.#requireRoom(upload.missingBytes);
      return upload;
    } catch (error) {
      await this.#leave(open);
      throw storeError(error, 'The upload cannot be begun');
    }
  }

  /** A session's part in an upload is over; what was received stays. */
  async release(upload: Upload): Promise<void> {
    const open = this.#openUploads.get(upload);
    if (open !== undefined) await this.#leave(open);
  }

  /** Lets go of every upload; nothing is lost by it. */
  async close(): Promise<void> {
    for (const open of [...this.#uploads]) {
      open.users = 1;
      await this.#leave(open);
    }
  }

  /**
   * Publishes a complete upload under its digest and gives it the name.
   * @throws PynqLlmError AGENT_UPLOAD_INCOMPLETE, AGENT_MODEL_UNKNOWN where the model was deleted since another session
   *   published it, AGENT_STORE_FULL, AGENT_STORE_FAILED
   */
  async publish(upload: Upload, name: string): Promise<void> {
    const { digest } = upload.plan;
    try {
      await upload.publish(this.#fs, this.path(digest));
    } catch (error) {
      // Another process published the same content first.
      const isGone = error instanceof PynqLlmError && hasCode(error.cause, 'ENOENT');
      if (!isGone || (await this.find(digest)) === undefined) throw error;
    }
    const open = this.#openUploads.get(upload);
    if (open !== undefined) open.joinable = false;
    await this.#typed('The upload could not be published', () =>
      syncDirectory(this.#fs, `${this.#directory}/models`),
    );
    if ((await this.find(digest)) === undefined)
      throw new PynqLlmError(
        'AGENT_MODEL_UNKNOWN',
        `Model ${digest} was deleted after another session had published it.`,
        { context: { model: digest } },
      );
    await this.name(digest, name);
  }

  /** Removes what was received of an upload that no session continues. */
  async removePartial(digest: string): Promise<void> {
    if (![...this.#uploads].some((open) => open.joinable && open.digest === digest))
      await this.#unlink(this.#partialPath(digest));
  }

  /** Removes a model and its names. @throws PynqLlmError AGENT_STORE_FULL, AGENT_STORE_FAILED */
  delete(digest: string): Promise<void> {
    return this.#typed('The model could not be deleted', async () => {
      await this.#unlink(this.path(digest));
      await syncDirectory(this.#fs, `${this.#directory}/models`);
      await this.#names.forget(digest);
    });
  }

  /** Bytes that uploads may still take. */
  freeBytes(): Promise<number> {
    return this.#typed('The file system cannot be asked for its room', async () => {
      const { bavail, bsize } = await this.#fs.statfs(this.#directory);
      return Math.max(0, bavail * bsize - RESERVE_BYTES);
    });
  }

  async #typed<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw storeError(error, what);
    }
  }

  /** The upload of this content that is under way, or a new one. */
  #join(plan: UploadPlan): OpenUpload {
    for (const open of this.#uploads)
      if (open.joinable && open.digest === plan.digest) {
        open.users++;
        return open;
      }
    const upload = Upload.open(this.#fs, this.#partialPath(plan.digest), plan);
    const open: OpenUpload = { digest: plan.digest, upload, users: 1, joinable: true };
    this.#uploads.add(open);
    return open;
  }

  async #leave(open: OpenUpload): Promise<void> {
    if (--open.users > 0 || !this.#uploads.delete(open)) return;
    const upload = await open.upload.catch(() => undefined);
    await upload?.close();
  }

  async #list(): Promise<StoreEntry[]> {
    const names = await this.#names.read();
    const entries: StoreEntry[] = [];
    for (const file of (await this.#fs.readdir(`${this.#directory}/models`)).toSorted()) {
      if (!/^[0-9a-f]{64}\.gguf$/.test(file)) continue;
      const entry = await this.#entry(file.slice(0, -SUFFIX.length), names);
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
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
