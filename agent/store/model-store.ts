import { PynqLlmError } from '../../errors/index.js';
import { type Log, silentLog } from '../../listen/index.js';
import {
  chunkCount,
  DIGEST_BYTES,
  MAX_LIST_BYTES,
  MAX_LIST_MODELS,
  MAX_MODELS,
  modelDigest,
} from '../../protocol/index.js';
import { hasCode } from '../session/system-error.js';
import { ModelNames, NAMES_FILE, namesByDigest } from './model-names.js';
import { ModelParts } from './model-parts.js';
import { PackedWeights } from './packed-weights.js';
import { PartialUploads } from './partial-uploads.js';
import {
  nodeFs,
  removeFile,
  removeTemporaries,
  type StoreFs,
  storeError,
  syncDirectory,
} from './store-fs.js';
import type { Upload, UploadPlan } from './upload.js';

/** Left free on the file system: logs and the operating system need some. */
const RESERVE_BYTES = 64 * 1024 * 1024;
const SUFFIX = '.gguf';

/** A model of the store. */
export interface StoreEntry {
  readonly digest: string;
  readonly names: readonly string[];
  readonly bytes: number;
}

/** Some of the store's models, in the order of their digests. */
export interface StorePage {
  readonly models: readonly StoreEntry[];
  /** Digest of the last of them, where there are more. */
  readonly next: string | undefined;
}

/** Which models of a list; all that fit into one answer unless given. */
export interface PageOptions {
  /** The models after this one. */
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
}

/**
 * Models on the board's file system, named by their digests:
 * `models/DIGEST.gguf`, `partial/DIGEST` while one is uploaded, `parts/DIGEST` where a board has some layers alone, `packed/` for weights as boards read them, and `names.json` for people.
 */
export class ModelStore {
  readonly #fs: StoreFs;
  readonly #directory: string;
  readonly #names: ModelNames;
  readonly #packed: PackedWeights;
  readonly #partials: PartialUploads;
  /** Of models that are cut over several boards. */
  readonly parts: ModelParts;

  /** Where it is, for what else its owner keeps. */
  get directory(): string {
    return this.#directory;
  }

  private constructor(directory: string, fs: StoreFs) {
    this.#fs = fs;
    this.#directory = directory;
    this.#names = new ModelNames(fs, directory, async (digest) => (await this.#size(digest)) !== undefined);
    this.#packed = new PackedWeights(fs, `${directory}/packed`);
    this.#partials = new PartialUploads(fs, `${directory}/partial`, {
      freeBytes: () => this.#diskBytes(),
      spare: this.#packed,
    });
    this.parts = new ModelParts(fs, `${directory}/parts`, (bytes) =>
      this.#packed.makeWay(bytes, async () => (await this.#diskBytes()) - this.#partials.missingBytes),
    );
  }

  /** Opens the store, makes its directories, and removes what nobody needs any more of uploads and failed writes. */
  static async open(directory: string, fs: StoreFs = nodeFs, log: Log = silentLog): Promise<ModelStore> {
    const store = new ModelStore(directory, fs);
    try {
      await fs.mkdir(`${directory}/models`, { recursive: true, mode: 0o700 });
      await fs.mkdir(`${directory}/partial`, { recursive: true, mode: 0o700 });
      await fs.mkdir(`${directory}/parts`, { recursive: true, mode: 0o700 });
      await fs.mkdir(`${directory}/packed`, { recursive: true, mode: 0o700 });
      await store.#partials.tidy();
      await store.#tidy();
      await removeTemporaries(fs, directory, NAMES_FILE);
      const surplus = await store.#names.surplus();
      if (surplus > 0)
        log.warn(
          { surplus },
          'models have more names than they may: the oldest are left out, and go with the next change',
        );
    } catch (cause) {
      throw storeError(cause, `The model store ${directory} cannot be opened`);
    }
    return store;
  }

  /** @throws PynqLlmError AGENT_STORE_FAILED */
  list(page: PageOptions = {}): Promise<StorePage> {
    return this.#typed('The models of the store cannot be listed', () => this.#list(page));
  }

  /**
   * The model of this digest or name; where there is none, at most two of those whose digests begin so.
   * @throws PynqLlmError AGENT_STORE_FAILED
   */
  search(text: string): Promise<StoreEntry[]> {
    return this.#typed('The store cannot be searched', () => this.#search(text));
  }

  /** @throws PynqLlmError AGENT_STORE_FAILED */
  find(digest: string): Promise<StoreEntry | undefined> {
    return this.#typed('The store cannot be read', async () =>
      this.#entry(digest, namesByDigest(await this.#names.read())),
    );
  }

  /** Path of a model's file. @param digest 64 hexadecimal digits */
  path(digest: string): string {
    return `${this.#directory}/models/${digest}${SUFFIX}`;
  }

  /**
   * Where packed weights of models may be kept, and how many bytes more they may take.
   * @throws PynqLlmError AGENT_STORE_FAILED
   */
  packedPlace(): Promise<{ readonly folder: string; readonly roomBytes: number }> {
    return this.#typed('The store has no place for packed weights', async () => {
      await this.#tidy();
      const roomBytes = (await this.#diskBytes()) - this.#partials.missingBytes;
      return { folder: this.#packed.folder, roomBytes: Math.max(0, roomBytes) };
    });
  }

  /** Gives a model a further name. @throws PynqLlmError AGENT_STORE_QUOTA, AGENT_STORE_FULL, AGENT_STORE_FAILED */
  name(digest: string, name: string): Promise<void> {
    return this.#typed('The name could not be written', () => this.#names.set(name, digest));
  }

  /**
   * Begins or continues an upload; end it with `release`.
   * @throws PynqLlmError AGENT_UPLOAD_MISMATCH where the chunk digests are not those of the digest, AGENT_STORE_QUOTA,
   *   AGENT_STORE_FULL, AGENT_STORE_FAILED
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
    return this.#typed('The upload cannot be begun', async () => {
      await this.#requirePlace();
      return this.#partials.begin(plan);
    });
  }

  /** A session's part in an upload is over; what was received stays. */
  release(upload: Upload): Promise<void> {
    return this.#partials.release(upload);
  }

  /** Lets go of every upload; nothing is lost by it. */
  close(): Promise<void> {
    return this.#partials.close();
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
    this.#partials.published(upload);
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
  removePartial(digest: string): Promise<void> {
    return this.#typed('The upload could not be removed', () => this.#partials.remove(digest));
  }

  /** Removes a model, or what there is of it, and its names. @throws PynqLlmError AGENT_STORE_FULL, AGENT_STORE_FAILED */
  delete(digest: string): Promise<void> {
    return this.#typed('The model could not be deleted', async () => {
      await removeFile(this.#fs, this.path(digest));
      await syncDirectory(this.#fs, `${this.#directory}/models`);
      await this.parts.delete(digest);
      await this.#packed.forget(digest);
      await this.#names.forget(digest);
    });
  }

  /** Bytes that uploads may still take: packed weights make way for them. */
  freeBytes(): Promise<number> {
    return this.#typed(
      'The file system cannot be asked for its room',
      async () => (await this.#diskBytes()) + (await this.#packed.bytes()),
    );
  }

  async #diskBytes(): Promise<number> {
    const { bavail, bsize } = await this.#fs.statfs(this.#directory);
    return Math.max(0, bavail * bsize - RESERVE_BYTES);
  }

  async #typed<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw storeError(error, what);
    }
  }

  async #list({ after, limit = MAX_LIST_MODELS }: PageOptions): Promise<StorePage> {
    const names = namesByDigest(await this.#names.read());
    const models: StoreEntry[] = [];
    let bytes = 0;
    for (const digest of await this.#digests()) {
      if (after !== undefined && digest <= after) continue;
      const entry = await this.#entry(digest, names);
      if (entry === undefined) continue;
      bytes += digest.length + Buffer.byteLength(entry.names.join());
      if (models.length >= limit || (bytes > MAX_LIST_BYTES && models.length > 0))
        return { models, next: models.at(-1)?.digest };
      models.push(entry);
    }
    return { models, next: undefined };
  }

  async #search(text: string): Promise<StoreEntry[]> {
    const named = await this.#names.read();
    const names = namesByDigest(named);
    const isDigits = /^[0-9a-f]{6,64}$/.test(text);
    const exact = new Set([named.get(text), isDigits && text.length === 64 ? text : undefined]);
    const found = await this.#entries(exact, names);
    if (found.length > 0 || !isDigits) return found;
    const fit = (await this.#digests()).filter((digest) => digest.startsWith(text));
    return this.#entries(fit.slice(0, 2), names);
  }

  async #entries(
    digests: Iterable<string | undefined>,
    names: ReadonlyMap<string, readonly string[]>,
  ): Promise<StoreEntry[]> {
    const entries: StoreEntry[] = [];
    for (const digest of digests) {
      const entry = digest === undefined ? undefined : await this.#entry(digest, names);
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
  }

  /** Removes what follows from models that are not there any more, and parts of those that are there as a whole. */
  async #tidy(): Promise<void> {
    const whole = await this.#digests();
    await this.parts.tidy(whole);
    await this.#packed.tidy([...whole, ...(await this.parts.digests())]);
  }

  /** Of every model, in order. */
  async #digests(): Promise<string[]> {
    const files = await this.#fs.readdir(`${this.#directory}/models`);
    return files
      .filter((file) => /^[0-9a-f]{64}\.gguf$/.test(file))
      .map((file) => file.slice(0, -SUFFIX.length))
      .toSorted();
  }

  async #requirePlace(): Promise<void> {
    const stored = (await this.#digests()).length;
    if (stored + this.#partials.open >= MAX_MODELS)
      throw new PynqLlmError(
        'AGENT_STORE_QUOTA',
        `The store has ${stored} models and ${this.#partials.open} on their way, of ${MAX_MODELS}.`,
        { context: { models: stored, limit: MAX_MODELS } },
      );
  }

  async #entry(
    digest: string,
    names: ReadonlyMap<string, readonly string[]>,
  ): Promise<StoreEntry | undefined> {
    const bytes = await this.#size(digest);
    return bytes === undefined ? undefined : { digest, bytes, names: names.get(digest) ?? [] };
  }

  /** A model's bytes, where it is in the store. */
  async #size(digest: string): Promise<number | undefined> {
    // What stands in the index of names is no path.
    if (!/^[0-9a-f]{64}$/.test(digest)) return undefined;
    try {
      return (await this.#fs.stat(this.path(digest))).size;
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    }
  }
}
