import type { DmaBuffer } from '../../board/index.js';
import { decodeTable, encodeTable, type ImageEntry, type TableKind, tableBytes } from './image-table.js';

const MAGIC = 'PLLMDRAM';
/** Room for about 500 tensors. */
export const MANIFEST_BYTES = 16 * 1024;

/**
 * The first pages of DMA memory, which say which model's weights lie where, for the process that comes after this one: on
 * boards whose DMA memory keeps its contents and addresses when a process ends.
 *
 * It is written when all weights of a model are there, and emptied before the first of them is overwritten. Still nobody
 * believes it: what it names is read, every word of it, and its checksum compared before it is used (docs/weights.md says what that
 * costs).
 */
export class WeightManifest {
  readonly #buffer: DmaBuffer;
  /** Whoever's weights it is of now. */
  #user: object | undefined;

  /** @param buffer of `MANIFEST_BYTES`, the first that is allocated of a board's memory */
  constructor(buffer: DmaBuffer) {
    this.#buffer = buffer;
  }

  /** Whether a model with so many tensors may use it: no other does, and it has room. @param user who asks */
  take(user: object, count: number): boolean {
    if (this.#user !== undefined || tableBytes(count) > MANIFEST_BYTES) return false;
    this.#user = user;
    return true;
  }

  /** Another model may use it; what it says stays as long as the memory is not used otherwise. */
  leave(user: object): void {
    if (this.#user === user) this.#user = undefined;
  }

  /** What it says of a model, or why not. */
  read(key: Uint8Array, count: number): readonly (ImageEntry | undefined)[] | string {
    const bytes = new Uint8Array(tableBytes(count));
    this.#buffer.giveToCpu();
    this.#buffer.read(0, bytes);
    return decodeTable(bytes, kindOf(key, count));
  }

  /** It says nothing any more. */
  empty(): void {
    this.#put(new Uint8Array(64));
  }

  write(key: Uint8Array, entries: readonly (ImageEntry | undefined)[]): void {
    this.#put(encodeTable(kindOf(key, entries.length), entries));
  }

  #put(bytes: Uint8Array): void {
    this.#buffer.giveToCpu();
    this.#buffer.write(0, bytes);
    this.#buffer.giveToDevice();
  }
}

function kindOf(key: Uint8Array, count: number): TableKind {
  return { magic: MAGIC, key, count };
}
