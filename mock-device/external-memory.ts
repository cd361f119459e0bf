import { type DmaBuffer, type DmaDirection, type MemoryRegion, RegionAllocator } from '../board/index.js';
import { copyWords } from './core-memory.js';
import type { DeviceBuffer, DeviceMemory, MemoryListener } from './device-memory.js';

/** Physically contiguous memory as the CPU sees it. Nothing but aligned words of it is accessed. */
export interface ExternalRegion extends MemoryRegion {
  readonly words: Int32Array;
}

/** DMA memory that is not the mock's: the board's own, or a test's. */
export interface ExternalMemory {
  readonly regions: readonly ExternalRegion[];
  /**
   * A buffer for the CPU, in that memory's own way of handing it over.
   * @param offset bytes from the region's start, a multiple of 64
   */
  buffer(region: ExternalRegion, offset: number, byteLength: number, direction: DmaDirection): DmaBuffer;
  /** It keeps its contents when the process ends, and is not cleared. */
  readonly keepsMemory: boolean;
  /** Gives the memory back. */
  close(): void;
}

/** The device's side of external memory. The core copies what it computes with, a tile at a time. */
export class BorrowedMemory implements DeviceMemory {
  readonly #external: ExternalMemory;
  readonly #allocator: RegionAllocator<ExternalRegion, BorrowedBuffer>;
  readonly #listener: MemoryListener;

  constructor(external: ExternalMemory, listener: MemoryListener) {
    this.#external = external;
    this.#allocator = new RegionAllocator(external.regions);
    this.#listener = listener;
  }

  contains(address: number, byteLength: number): boolean {
    return this.#external.regions.some(
      ({ base, size }) => address >= base && address + byteLength <= base + size,
    );
  }

  bufferAt(address: number, byteLength: number): DeviceBuffer | undefined {
    return this.#allocator.bufferAt(address, byteLength);
  }

  allocate(byteLength: number, align: number, direction: DmaDirection, at?: number): DmaBuffer {
    const create = (_address: number, region: ExternalRegion, offset: number): BorrowedBuffer => {
      const own = this.#external.buffer(region, offset, byteLength, direction);
      return new BorrowedBuffer(own, region.words, offset, this.#listener, (buffer) =>
        this.#allocator.release(buffer),
      );
    };
    return this.#allocator.allocate(byteLength, align, create, at);
  }

  usage(): { total: number; free: number; largestFree: number } {
    return this.#allocator.usage();
  }

  close(): void {
    this.#external.close();
  }
}

/** A buffer of the external memory whose hand-overs the mock sees, too. */
class BorrowedBuffer implements DeviceBuffer {
  readonly #own: DmaBuffer;
  readonly #listener: MemoryListener;
  readonly #onRelease: (buffer: BorrowedBuffer) => void;
  #freed = false;

  constructor(
    own: DmaBuffer,
    readonly source: Int32Array,
    readonly offset: number,
    listener: MemoryListener,
    onRelease: (buffer: BorrowedBuffer) => void,
  ) {
    this.#own = own;
    this.#listener = listener;
    this.#onRelease = onRelease;
  }

  get physicalAddress(): number {
    return this.#own.physicalAddress;
  }

  get byteLength(): number {
    return this.#own.byteLength;
  }

  get direction(): DmaDirection {
    return this.#own.direction;
  }

  ownerOf(offset?: number, byteLength?: number): 'cpu' | 'device' | 'both' {
    return this.#own.ownerOf(offset, byteLength);
  }

  write(offset: number, source: Uint8Array, at?: number, byteLength?: number): void {
    this.#own.write(offset, source, at, byteLength);
  }

  read(offset: number, into: Uint8Array, at?: number, byteLength?: number): void {
    this.#own.read(offset, into, at, byteLength);
  }

  giveToDevice(offset?: number, byteLength?: number): number {
    return this.#own.giveToDevice(offset, byteLength);
  }

  giveToCpu(offset = 0, byteLength = this.byteLength - offset): number {
    if (this.#own.ownerOf(offset, byteLength) !== 'cpu') this.#listener.handedBack(this, offset, byteLength);
    return this.#own.giveToCpu(offset, byteLength);
  }

  free(): void {
    if (this.#freed) return;
    this.giveToCpu();
    this.#freed = true;
    this.#own.free();
    this.#onRelease(this);
  }

  deviceWrite(offset: number, source: Int32Array, at: number, words: number): void {
    copyWords(source, at, this.source, (this.offset + offset) / 4, words);
  }
}
