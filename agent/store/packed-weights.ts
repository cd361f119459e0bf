import { hasCode } from '../session/system-error.js';
import { makeWay } from './make-way.js';
import { removeFile, type StoreFs } from './store-fs.js';

/** Files kept at a time: a model has one for each board that it was loaded on. */
const MAX_FILES = 8;

/** A file that can be made again, so it makes way for what cannot. */
export interface SpareFile {
  readonly name: string;
  readonly bytes: number;
  readonly mtimeMs: number;
}

/**
 * Files of packed weights beside the models, `DIGEST-LAYOUT`: the device's worker writes and checks them
 * (driver/packed/packed-file.ts), the store counts and removes them.
 */
export class PackedWeights {
  readonly #fs: StoreFs;
  readonly folder: string;

  /** @param folder its own */
  constructor(fs: StoreFs, folder: string) {
    this.#fs = fs;
    this.folder = folder;
  }

  /** The files, the longest unchanged first. */
  async list(): Promise<SpareFile[]> {
    const files: SpareFile[] = [];
    for (const name of await this.#fs.readdir(this.folder)) {
      try {
        const { size, mtimeMs } = await this.#fs.stat(`${this.folder}/${name}`);
        files.push({ name, bytes: size, mtimeMs });
      } catch (error) {
        // Another process removed it.
        if (!hasCode(error, 'ENOENT')) throw error;
      }
    }
    return files.sort((a, b) => a.mtimeMs - b.mtimeMs);
  }

  async bytes(): Promise<number> {
    return (await this.list()).reduce((sum, { bytes }) => sum + bytes, 0);
  }

  remove(name: string): Promise<void> {
    return removeFile(this.#fs, `${this.folder}/${name}`);
  }

  /**
   * Removes the longest unchanged until `bytes` are free, unless they all together do not make that.
   * @returns how many bytes there are then, or would be
   */
  async makeWay(bytes: number, freeBytes: () => Promise<number>): Promise<number> {
    const files = await this.list();
    const free = await freeBytes();
    const most = files.reduce((sum, file) => sum + file.bytes, free);
    if (bytes > most) return most;
    const inTheWay = files.map(({ name }) => ({ remove: () => this.remove(name) }));
    return makeWay(bytes, free, inTheWay, freeBytes);
  }

  /** Removes those of a model. */
  async forget(digest: string): Promise<void> {
    for (const { name } of await this.list()) if (isOf(name, digest)) await this.remove(name);
  }

  /** Removes those of models that are gone, and the oldest where there are too many. */
  async tidy(stored: readonly string[]): Promise<void> {
    const files = await this.list();
    const owned = files.filter(({ name }) => stored.some((digest) => isOf(name, digest)));
    const kept = new Set(owned.slice(-MAX_FILES));
    for (const file of files) if (!kept.has(file)) await this.remove(file.name);
  }
}

function isOf(name: string, digest: string): boolean {
  return name.startsWith(`${digest}-`);
}
