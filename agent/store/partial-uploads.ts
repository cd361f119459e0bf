import { PynqLlmError } from '../../errors/index.js';
import { CHUNK_BYTES } from '../../protocol/index.js';
import { makeWay } from './make-way.js';
import type { SpareFile } from './packed-weights.js';
import { removeFile, type StoreFs } from './store-fs.js';
import { Upload, type UploadPlan } from './upload.js';

/** Uploads under way at a time, of all sessions: each has a file open and up to 2 MiB of digests in memory. */
const MAX_OPEN = 16;
/** Uploads that are begun and never ended: more of them than this, or larger together, and the oldest go. */
const MAX_KEPT = 8;
const MAX_KEPT_BYTES = 8 * 1024 ** 3;
/** A partial upload that nobody continued for so long is removed. */
const PARTIAL_AGE_MS = 7 * 24 * 3600 * 1000;
/** One without a byte is removed when it is so old: until then another process on the same store may just have begun it. */
const EMPTY_AGE_MS = 10 * 60 * 1000;
/** Of `blocks` in stat(2), whatever the file system's own are. */
const BLOCK_BYTES = 512;

/** An upload under way. */
interface OpenUpload {
  readonly digest: string;
  readonly upload: Promise<Upload>;
  /** Bytes that it may still take from the file system. */
  missingBytes: () => number;
  /** Sessions that take part. */
  users: number;
  /** Not any more once it is published: what is uploaded after the model was deleted is another file. */
  joinable: boolean;
}

/** The file system that uploads share with other things. */
interface Room {
  /** How many bytes may be used now. */
  readonly freeBytes: () => Promise<number>;
  /** What makes way. */
  readonly spare: { list(): Promise<readonly SpareFile[]>; remove(name: string): Promise<void> };
}

/** Uploads under way, and what broken ones left: files named by their digests. */
export class PartialUploads {
  readonly #fs: StoreFs;
  readonly #directory: string;
  readonly #room: Room;
  readonly #uploads = new Set<OpenUpload>();
  readonly #openUploads = new WeakMap<Upload, OpenUpload>();
  /** Files on their way out: they are not opened before they are gone. */
  readonly #removals = new Map<string, Promise<void>>();

  /** @param directory its own */
  constructor(fs: StoreFs, directory: string, room: Room) {
    this.#fs = fs;
    this.#directory = directory;
    this.#room = room;
  }

  /** Uploads under way. */
  get open(): number {
    return this.#uploads.size;
  }

  /** Bytes that uploads under way still take. */
  get missingBytes(): number {
    return [...this.#uploads].reduce((sum, one) => sum + one.missingBytes(), 0);
  }

  /**
   * Begins or continues an upload; end it with `release`.
   * @throws PynqLlmError AGENT_STORE_QUOTA, AGENT_STORE_FULL
   */
  async begin(plan: UploadPlan): Promise<Upload> {
    const open = this.#join(plan);
    try {
      const upload = await open.upload;
      this.#openUploads.set(upload, open);
      await this.#requireRoom(open);
      return upload;
    } catch (error) {
      await this.#leave(open);
      throw error;
    }
  }

  /** A session's part in an upload is over; what was received stays for a while. */
  async release(upload: Upload): Promise<void> {
    const open = this.#openUploads.get(upload);
    if (open !== undefined) await this.#leave(open);
  }

  /** From now on an upload of the same content is a new one. */
  published(upload: Upload): void {
    const open = this.#openUploads.get(upload);
    if (open !== undefined) open.joinable = false;
  }

  /** Removes what was received of an upload that no session continues. */
  async remove(digest: string): Promise<void> {
    if (!this.#isOpen(digest)) await this.#remove(digest);
  }

  /** Lets go of every upload; nothing is lost by it. */
  async close(): Promise<void> {
    for (const open of [...this.#uploads]) {
      open.users = 1;
      await this.#leave(open);
    }
  }

  /**
   * Removes files that are too old, too many or too large together, the oldest first, and that of `left`, which a session
   * just left, where it has no byte.
   */
  async tidy(left?: string): Promise<void> {
    let [count, bytes] = [0, 0];
    for (const file of (await this.#kept()).reverse()) {
      bytes += file.bytes;
      const isOld = Date.now() - file.mtimeMs > (file.bytes === 0 ? EMPTY_AGE_MS : PARTIAL_AGE_MS);
      if (isOld || (file.bytes === 0 && file.name === left) || ++count > MAX_KEPT || bytes > MAX_KEPT_BYTES)
        await this.remove(file.name);
    }
  }

  /** The upload of this content that is under way, or a new one. */
  #join(plan: UploadPlan): OpenUpload {
    for (const open of this.#uploads)
      if (open.joinable && open.digest === plan.digest) {
        open.users++;
        return open;
      }
    if (this.#uploads.size >= MAX_OPEN)
      throw new PynqLlmError('AGENT_STORE_QUOTA', `${MAX_OPEN} uploads are under way.`, {
        context: { limit: MAX_OPEN },
        remedy: 'Try again when one of them has ended.',
      });
    const upload = this.#open(plan);
    const open: OpenUpload = {
      digest: plan.digest,
      upload,
      missingBytes: () => plan.byteLength,
      users: 1,
      joinable: true,
    };
    upload.then(
      (opened) => {
        open.missingBytes = () => opened.missingBytes;
      },
      () => {},
    );
    this.#uploads.add(open);
    return open;
  }

  async #open(plan: UploadPlan): Promise<Upload> {
    await this.#removals.get(plan.digest);
    return Upload.open(this.#fs, this.#path(plan.digest), plan);
  }

  async #leave(open: OpenUpload): Promise<void> {
    if (--open.users > 0 || !this.#uploads.delete(open)) return;
    const upload = await open.upload.catch(() => undefined);
    await upload?.close();
    // What cannot be tidied now is tidied later: the session that leaves could do nothing about it.
    await this.tidy(open.digest).catch(() => {});
  }

  /** Room for this upload beside what those begun before it still take; packed weights make way, then files that nobody continues. */
  async #requireRoom(open: OpenUpload): Promise<void> {
    const all = [...this.#uploads];
    const needed = all.slice(0, all.indexOf(open) + 1).reduce((sum, one) => sum + one.missingBytes(), 0);
    const { freeBytes, spare } = this.#room;
    let free = await freeBytes();
    if (needed <= free) return;
    const kept = (await this.#kept()).map(({ name, bytes }) => ({ bytes, remove: () => this.remove(name) }));
    const packed = (await spare.list()).map(({ name, bytes }) => ({
      bytes,
      remove: () => spare.remove(name),
    }));
    // A packed file that is in use gives nothing back until its model is unloaded: only then is it known whether the
    // files that somebody may yet continue are enough.
    for (const inTheWay of [packed, kept]) {
      const most = inTheWay === packed ? [...packed, ...kept] : kept;
      if (needed > free + most.reduce((sum, { bytes }) => sum + bytes, 0)) break;
      free = await makeWay(needed, free, inTheWay, freeBytes);
      if (needed <= free) return;
    }
    throw new PynqLlmError(
      'AGENT_STORE_FULL',
      `The uploads under way need ${needed} bytes more, this one ${open.missingBytes()}, and ${free} may be used in ${this.#directory} (chunks of ${CHUNK_BYTES} bytes that came are kept).`,
      { context: { neededBytes: needed, freeBytes: free } },
    );
  }

  /** Files that nobody continues, the oldest first. */
  async #kept(): Promise<SpareFile[]> {
    const files: SpareFile[] = [];
    for (const name of await this.#fs.readdir(this.#directory)) {
      if (this.#isOpen(name)) continue;
      const { size, blocks, mtimeMs } = await this.#fs.stat(this.#path(name));
      // Chunks come in any order: a file is not as large as its last byte's place.
      files.push({
        name,
        bytes: Math.min(size, (blocks ?? Number.POSITIVE_INFINITY) * BLOCK_BYTES),
        mtimeMs,
      });
    }
    return files.sort((a, b) => a.mtimeMs - b.mtimeMs);
  }

  #isOpen(digest: string): boolean {
    return [...this.#uploads].some((open) => open.joinable && open.digest === digest);
  }

  #remove(name: string): Promise<void> {
    const removal = removeFile(this.#fs, this.#path(name)).finally(() => this.#removals.delete(name));
    this.#removals.set(name, removal);
    return removal;
  }

  #path(digest: string): string {
    return `${this.#directory}/${digest}`;
  }
}
