import { type DmaDirection, OwnedDmaBuffer } from '../board/index.js';
import type { CacheControl, DmaRegion } from './dma-memory.js';
import { barrier, readWords, writeWords } from './word-copies.js';

/** What a buffer needs of the board that it lies in. */
export interface BufferHome {
  readonly isOpen: boolean;
  /** @throws PynqLlmError LINUX_CLOSED */
  requireOpen(): void;
  forget(buffer: OwnedDmaBuffer): void;
}

/** Where a buffer lies, and what for. */
export interface BufferPlace {
  readonly region: DmaRegion;
  /** Bytes from the region's start, a multiple of 64. */
  readonly offset: number;
  readonly byteLength: number;
  readonly direction: DmaDirection;
}

/** A buffer in the way of its region's memory. */
export function newDmaBuffer(home: BufferHome, place: BufferPlace): OwnedDmaBuffer {
  const { caches } = place.region;
  return caches === undefined ? new UncachedDmaBuffer(home, place) : new CachedDmaBuffer(home, place, caches);
}

/** A buffer in memory that the CPU caches: handing a range over synchronises its lines. */
class CachedDmaBuffer extends OwnedDmaBuffer {
  readonly #home: BufferHome;
  readonly #bytes: Uint8Array;
  readonly #caches: CacheControl;
  readonly #offset: number;

  constructor(
    home: BufferHome,
    { region, offset, byteLength, direction }: BufferPlace,
    caches: CacheControl,
  ) {
    super(region.base + offset, byteLength, direction);
    this.#home = home;
    this.#bytes = region.bytes;
    this.#caches = caches;
    this.#offset = offset;
    // What was written there before may still be on its way to memory, and would overwrite results.
    if (direction === 'from-device') caches.forDevice(offset, byteLength);
  }

  protected copyIn(offset: number, source: Uint8Array, at: number, byteLength: number): void {
    this.#home.requireOpen();
    this.#bytes.set(source.subarray(at, at + byteLength), this.#offset + offset);
  }

  protected copyOut(offset: number, into: Uint8Array, at: number, byteLength: number): void {
    this.#home.requireOpen();
    const from = this.#offset + offset;
    into.set(this.#bytes.subarray(from, from + byteLength), at);
  }

  protected handOver(offset: number, byteLength: number): void {
    this.#home.requireOpen();
    if (this.direction !== 'from-device') this.#caches.forDevice(this.#offset + offset, byteLength);
  }

  /** Nothing is left to synchronise once the board is closed, and `free` must still work. */
  protected handBack(offset: number, byteLength: number): void {
    if (this.#home.isOpen && this.direction !== 'to-device')
      this.#caches.forCpu(this.#offset + offset, byteLength);
  }

  protected release(): void {
    this.#home.forget(this);
  }
}

/**
 * A buffer in memory mapped as device memory: the CPU works in place, with aligned accesses. There is nothing to
 * synchronise, only an order to keep between memory and registers.
 */
class UncachedDmaBuffer extends OwnedDmaBuffer {
  readonly #home: BufferHome;
  readonly #region: DmaRegion;
  readonly #offset: number;

  constructor(home: BufferHome, { region, offset, byteLength, direction }: BufferPlace) {
    super(region.base + offset, byteLength, direction);
    this.#home = home;
    this.#region = region;
    this.#offset = offset;
  }

  protected copyIn(offset: number, source: Uint8Array, at: number, byteLength: number): void {
    this.#home.requireOpen();
    writeWords(this.#region, this.#offset + offset, source, at, byteLength);
  }

  protected copyOut(offset: number, into: Uint8Array, at: number, byteLength: number): void {
    this.#home.requireOpen();
    readWords(this.#region, this.#offset + offset, into, at, byteLength);
  }

  protected handOver(): void {
    this.#home.requireOpen();
    barrier();
  }

  protected handBack(): void {
    barrier();
  }

  protected release(): void {
    this.#home.forget(this);
  }
}
