import * as nodeFs from 'node:fs';
import { decodeTable, encodeTable, type ImageEntry, type TableKind, tableBytes } from './image-table.js';

/** Whole pages, so that what lies in the file can be mapped. */
const PAGE = 4096;
const MAGIC = 'PLLMPACK';

/** What a packed file needs of `node:fs`; memfs has it too. */
export interface PackedFs {
  openSync(path: string, flags: string, mode?: number): number;
  fstatSync(descriptor: number): { readonly size: number };
  readSync(descriptor: number, into: Uint8Array, offset: number, length: number, position: number): number;
  writeSync(descriptor: number, bytes: Uint8Array, offset: number, length: number, position: number): number;
  closeSync(descriptor: number): void;
  unlinkSync(path: string): void;
}

/** A place for the packed weights of a model. */
export interface PackedPlace {
  readonly path: string;
  /** Bytes that the file may take of the file system. */
  readonly roomBytes: number;
  readonly fs?: PackedFs | undefined;
}

/**
 * The packed weights of a model, in a file: a table, then each tensor's packed tiles, in the order of the model. What is
 * where depends on the model and the layout alone, which the table's key stands for; so two processes that write it at
 * the same time write the same.
 *
 * The table is written last, and each tensor has a checksum: a file that is not all there is found out. What is missing
 * or damaged is written again in its place.
 */
export class PackedFile {
  readonly #path: string;
  readonly #fs: PackedFs;
  readonly #kind: TableKind;
  readonly #offsets: readonly number[];
  readonly #entries: (ImageEntry | undefined)[];
  readonly #say: (note: string) => void;
  #descriptor: number | undefined;
  #changed = false;

  private constructor(
    { path, fs = nodeFs }: PackedPlace,
    descriptor: number,
    kind: TableKind,
    sizes: readonly number[],
    say: (note: string) => void,
  ) {
    this.#path = path;
    this.#fs = fs;
    this.#descriptor = descriptor;
    this.#kind = kind;
    this.#say = say;
    this.#offsets = offsetsOf(sizes);
    this.#entries = this.#readTable(sizes);
  }

  /**
   * Opens the file, or begins one.
   * @param key of the model and its layout, 32 bytes
   * @param sizes bytes of each tensor's packed tiles, 0 where it is not for the core
   * @param say told in words of what is not as it should be
   * @returns undefined where there is no room or the file system does not want it, after `say`
   */
  static open(
    place: PackedPlace,
    key: Uint8Array,
    sizes: readonly number[],
    say: (note: string) => void,
  ): PackedFile | undefined {
    const { path, roomBytes, fs = nodeFs } = place;
    let descriptor: number | undefined;
    try {
      descriptor = openOrCreate(fs, path);
      const needed = (offsetsOf(sizes).at(-1) ?? 0) - fs.fstatSync(descriptor).size;
      if (needed <= roomBytes)
        return new PackedFile(place, descriptor, { magic: MAGIC, key, count: sizes.length }, sizes, say);
      say(`packed weights are not kept: they need ${needed} bytes, and ${Math.max(0, roomBytes)} are free`);
    } catch (error) {
      say(`packed weights are not kept: ${messageOf(error)}`);
    }
    abandon(fs, path, descriptor);
    return undefined;
  }

  /** Whether tensor `index` was there when it was last read or written. */
  has(index: number): boolean {
    return this.#descriptor !== undefined && this.#entries[index] !== undefined;
  }

  checksum(index: number): Uint8Array | undefined {
    return this.#entries[index]?.checksum;
  }

  /** Reads bytes of a tensor. @returns whether they could be read; after `say`, if not */
  read(index: number, offset: number, into: Uint8Array): boolean {
    if (this.#descriptor === undefined) return false;
    try {
      readAll(this.#fs, this.#descriptor, this.#offsets[index] + offset, into);
      return true;
    } catch (error) {
      this.distrust(index, messageOf(error));
      return false;
    }
  }

  /** What is there of the tensor is not what it should be. */
  distrust(index: number, why: string): void {
    this.#entries[index] = undefined;
    this.#changed = true;
    this.#say(`packed weights in ${this.#path} are damaged and packed anew: ${why}`);
  }

  /** Writes bytes of a tensor; where they cannot be written, the file is given up, after `say`. */
  write(index: number, offset: number, bytes: Uint8Array): void {
    if (this.#descriptor === undefined) return;
    this.#entries[index] = undefined;
    try {
      writeAll(this.#fs, this.#descriptor, this.#offsets[index] + offset, bytes);
    } catch (error) {
      this.#giveUp(error);
    }
  }

  /** All of the tensor is written. */
  wrote(index: number, bytes: number, checksum: Uint8Array): void {
    if (this.#descriptor === undefined) return;
    this.#entries[index] = { at: this.#offsets[index], bytes, checksum };
    this.#changed = true;
  }

  /** Writes the table, where something changed: from then on the file counts. */
  finish(): void {
    if (this.#descriptor === undefined || !this.#changed) return;
    try {
      writeAll(this.#fs, this.#descriptor, 0, encodeTable(this.#kind, this.#entries));
      this.#changed = false;
    } catch (error) {
      this.#giveUp(error);
    }
  }

  /** Closes the file; without `finish` before, what was written does not count. */
  close(): void {
    if (this.#descriptor !== undefined) this.#fs.closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #readTable(sizes: readonly number[]): (ImageEntry | undefined)[] {
    const none = sizes.map(() => undefined);
    const { size } = this.#fs.fstatSync(this.#descriptor!);
    if (size === 0) return none;
    const table = new Uint8Array(Math.min(size, tableBytes(sizes.length)));
    readAll(this.#fs, this.#descriptor!, 0, table);
    const entries = decodeTable(table, this.#kind);
    if (typeof entries === 'string') {
      this.#say(`packed weights in ${this.#path} are packed anew: ${entries}`);
      return none;
    }
    return entries.map((entry, i) => {
      if (entry === undefined || sizes[i] === 0) return undefined;
      const isRight = entry.at === this.#offsets[i] && entry.bytes === sizes[i];
      return isRight && entry.at + entry.bytes <= size ? entry : undefined;
    });
  }

  #giveUp(error: unknown): void {
    this.#say(`packed weights are not kept: ${messageOf(error)}`);
    abandon(this.#fs, this.#path, this.#descriptor);
    this.#descriptor = undefined;
  }
}

/** Where each tensor begins, and at last where the file ends. */
function offsetsOf(sizes: readonly number[]): number[] {
  let end = Math.ceil(tableBytes(sizes.length) / PAGE) * PAGE;
  return [...sizes, 0].map((size) => {
    const at = end;
    end += Math.ceil(size / PAGE) * PAGE;
    return at;
  });
}

/** Never empties a file: another process may read it. */
function openOrCreate(fs: PackedFs, path: string): number {
  try {
    return fs.openSync(path, 'r+');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    return fs.openSync(path, 'wx+', 0o600);
  }
}

/** What is half there helps nobody. */
function abandon(fs: PackedFs, path: string, descriptor: number | undefined): void {
  if (descriptor === undefined) return;
  fs.closeSync(descriptor);
  try {
    fs.unlinkSync(path);
  } catch {
    // Without its table it is found out, and written again.
  }
}

function readAll(fs: PackedFs, descriptor: number, position: number, into: Uint8Array): void {
  for (let done = 0; done < into.length; ) {
    const count = fs.readSync(descriptor, into, done, into.length - done, position + done);
    if (count === 0) throw new Error('the file is shorter than it should be');
    done += count;
  }
}

function writeAll(fs: PackedFs, descriptor: number, position: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; )
    done += fs.writeSync(descriptor, bytes, done, bytes.length - done, position + done);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
