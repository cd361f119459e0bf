import { OwnedDmaBuffer } from '../board/index.js';
import type { CacheControl, DmaRegion } from './dma-memory.js';

/** What a buffer needs of the board that it lies in. */
export interface BufferHome {
  readonly isOpen: boolean;
  /** @throws PynqLlmError LINUX_CLOSED */
  requireOpen(): void;
  forget(buffer: OwnedDmaBuffer): void;
}

/** A buffer in memory that the CPU caches: handing it over synchronises its lines. */
export class CachedDmaBuffer extends OwnedDmaBuffer {
  readonly #home: BufferHome;
  readonly #region: DmaRegion;
  readonly #caches: CacheControl;
  readonly #offset: number;

  constructor(home: BufferHome, region: DmaRegion, caches: CacheControl, offset: number, byteLength: number) {
    super(region.base + offset, byteLength);
    this.#home = home;
    this.#region = region;
    this.#caches = caches;
    this.#offset = offset;
  }

  protected memory(): Uint8Array {
    this.#home.requireOpen();
    return this.#region.bytes.subarray(this.#offset, this.#offset + this.byteLength);
  }

  protected handOver(): void {
    this.#home.requireOpen();
    this.#caches.forDevice(this.#offset, this.byteLength);
  }

  /** Nothing is left to synchronise once the board is closed, and `free` must still work. */
  protected handBack(): void {
    if (this.#home.isOpen) this.#caches.forCpu(this.#offset, this.byteLength);
  }

  protected release(): void {
    this.#home.forget(this);
  }
}

/**
 * A buffer in memory mapped as device memory, where the ARM architecture allows aligned accesses only and the C
 * library's memory functions die with a bus error. The CPU works on a copy; whole words go to and fro when the buffer
 * changes hands, and the copy lives only while the CPU uses it.
 */
export class UncachedDmaBuffer extends OwnedDmaBuffer {
  readonly #words: Int32Array;
  #copy: Int32Array | undefined;
  readonly #home: BufferHome;

  constructor(home: BufferHome, region: DmaRegion, offset: number, byteLength: number) {
    super(region.base + offset, byteLength);
    this.#home = home;
    this.#words = region.words.subarray(offset / 4, offset / 4 + Math.ceil(byteLength / 4));
    this.#copy = new Int32Array(this.#words.length);
  }

  protected memory(): Uint8Array {
    this.#home.requireOpen();
    if (this.#copy === undefined) {
      this.#copy = new Int32Array(this.#words.length);
      copyWords(this.#words, this.#copy);
    }
    return new Uint8Array(this.#copy.buffer, 0, this.byteLength);
  }

  protected handOver(): void {
    this.#home.requireOpen();
    if (this.#copy !== undefined) copyWords(this.#copy, this.#words);
    this.#copy = undefined;
  }

  protected handBack(): void {}

  protected release(): void {
    this.#copy = undefined;
    this.#home.forget(this);
  }
}

/** Word by word: `set` would use memmove. */
function copyWords(from: Int32Array, to: Int32Array): void {
  for (let i = 0; i < to.length; i++) to[i] = from[i];
}
