import { type DmaBuffer, type DmaDirection, OwnedDmaBuffer, RegionAllocator } from '../board/index.js';
import { type CoreMemory, copyWords, DMA_AREA } from './core-memory.js';
import type { DeviceBuffer, DeviceMemory, MemoryListener } from './device-memory.js';

const PAGE = 65536;

interface Region {
  readonly base: number;
  readonly size: number;
  /** Where the region lies in the kernels' address space. */
  readonly offset: number;
}

/** DMA memory that the mock has itself, in the kernels' address space, so that they read weights in place. */
export class OwnMemory implements DeviceMemory {
  readonly #allocator: RegionAllocator<Region, OwnBuffer>;
  readonly #regions: readonly Region[];
  readonly #core: CoreMemory;
  readonly #listener: MemoryListener;

  /** @param core with room for the regions, each of whole pages */
  constructor(
    regions: readonly { base: number; size: number }[],
    core: CoreMemory,
    listener: MemoryListener,
  ) {
    let offset = DMA_AREA;
    this.#regions = regions.map(({ base, size }) => {
      const region = { base, size, offset };
      offset += wholePages(size);
      return region;
    });
    this.#core = core;
    this.#listener = listener;
    this.#allocator = new RegionAllocator(this.#regions);
  }

  contains(address: number, byteLength: number): boolean {
    return this.#regions.some(({ base, size }) => address >= base && address + byteLength <= base + size);
  }

  bufferAt(address: number, byteLength: number): DeviceBuffer | undefined {
    return this.#allocator.bufferAt(address, byteLength);
  }

  allocate(byteLength: number, align: number, direction: DmaDirection, at?: number): DmaBuffer {
    const create = (address: number, region: Region, offset: number): OwnBuffer => {
      const place = { physicalAddress: address, offset: region.offset + offset, byteLength, direction };
      return new OwnBuffer(this.#core, place, this.#listener, (buffer) => this.#allocator.release(buffer));
    };
    return this.#allocator.allocate(byteLength, align, create, at);
  }

  usage(): { total: number; free: number; largestFree: number } {
    return this.#allocator.usage();
  }

  close(): void {}
}

/** Bytes that a region takes in the kernels' address space. */
export function wholePages(bytes: number): number {
  return Math.ceil(bytes / PAGE) * PAGE;
}

interface OwnPlace {
  readonly physicalAddress: number;
  /** Where the buffer lies in the kernels' address space. */
  readonly offset: number;
  readonly byteLength: number;
  readonly direction: DmaDirection;
}

class OwnBuffer extends OwnedDmaBuffer implements DeviceBuffer {
  readonly offset: number;
  readonly #core: CoreMemory;
  readonly #listener: MemoryListener;
  readonly #onRelease: (buffer: OwnBuffer) => void;

  constructor(
    core: CoreMemory,
    { physicalAddress, offset, byteLength, direction }: OwnPlace,
    listener: MemoryListener,
    onRelease: (buffer: OwnBuffer) => void,
  ) {
    super(physicalAddress, byteLength, direction);
    this.offset = offset;
    this.#core = core;
    this.#listener = listener;
    this.#onRelease = onRelease;
  }

  get source(): Int32Array {
    return this.#core.words;
  }

  protected copyIn(offset: number, source: Uint8Array, at: number, byteLength: number): void {
    const to = this.offset + offset;
    this.#listener.overwritten(to, to + byteLength);
    this.#core.bytes.set(source.subarray(at, at + byteLength), to);
  }

  protected copyOut(offset: number, into: Uint8Array, at: number, byteLength: number): void {
    const from = this.offset + offset;
    into.set(this.#core.bytes.subarray(from, from + byteLength), at);
  }

  protected handOver(): void {}

  protected handBack(offset: number, byteLength: number): void {
    this.#listener.handedBack(this, offset, byteLength);
  }

  protected release(): void {
    this.#onRelease(this);
  }

  deviceWrite(offset: number, source: Int32Array, at: number, words: number): void {
    const to = this.offset + offset;
    this.#listener.overwritten(to, to + words * 4);
    const { words: own } = this.#core;
    if (source === own) own.copyWithin(to / 4, at, at + words);
    else copyWords(source, at, own, to / 4, words);
  }
}
