import { PynqLlmError } from '../errors/index.js';

/** A piece of physical memory. */
export interface MemoryRegion {
  readonly base: number;
  /** Bytes. */
  readonly size: number;
}

/** What lies in a region. */
export interface Allocated {
  readonly physicalAddress: number;
  readonly byteLength: number;
}

/** First fit in regions of physical memory, and which buffer lies where. No buffer spans two regions. */
export class RegionAllocator<R extends MemoryRegion, B extends Allocated> {
  /** Sorted by physical address. */
  readonly #buffers: B[] = [];
  readonly #regions: readonly R[];

  constructor(regions: readonly R[]) {
    this.#regions = regions;
  }

  /**
   * @param align a power of two
   * @param at the only place that will do, where given
   * @param create makes the buffer once its place is known; `offset` is in the region
   * @throws PynqLlmError DRIVER_DMA_MEMORY_FULL, DRIVER_BAD_ARGUMENT
   */
  allocate(
    byteLength: number,
    align: number,
    create: (physicalAddress: number, region: R, offset: number) => B,
    at?: number,
  ): B {
    if (
      !Number.isSafeInteger(byteLength) ||
      byteLength <= 0 ||
      align <= 0 ||
      !Number.isInteger(Math.log2(align))
    )
      throw new PynqLlmError(
        'DRIVER_BAD_ARGUMENT',
        `A DMA buffer of ${byteLength} bytes aligned to ${align} cannot be allocated.`,
        { context: { byteLength, align } },
      );
    for (const { region, base, size } of this.#gaps()) {
      const address = at ?? Math.ceil(base / align) * align;
      if (address < base || address % align !== 0 || address + byteLength > base + size) continue;
      const buffer = create(address, region, address - region.base);
      this.#buffers.splice(this.#placeOf(address), 0, buffer);
      return buffer;
    }
    const { free, largestFree } = this.usage();
    throw new PynqLlmError(
      'DRIVER_DMA_MEMORY_FULL',
      `${byteLength} bytes of DMA memory were asked for${at === undefined ? '' : ` at 0x${at.toString(16)}`}; ${free} are free, ${largestFree} of them in one piece.`,
      { context: { byteLength, free, largestFree } },
    );
  }

  /** @param buffer is forgotten; its memory may be allocated again */
  release(buffer: B): void {
    const place = this.#placeOf(buffer.physicalAddress);
    if (this.#buffers[place] === buffer) this.#buffers.splice(place, 1);
  }

  /** The buffer that holds the whole physical range. */
  bufferAt(address: number, byteLength: number): B | undefined {
    const buffer = this.#buffers[this.#placeOf(address + 1) - 1];
    return buffer !== undefined && address + byteLength <= buffer.physicalAddress + buffer.byteLength
      ? buffer
      : undefined;
  }

  usage(): { total: number; free: number; largestFree: number } {
    const gaps = this.#gaps();
    return {
      total: this.#regions.reduce((sum, { size }) => sum + size, 0),
      free: gaps.reduce((sum, { size }) => sum + size, 0),
      largestFree: gaps.reduce((largest, { size }) => Math.max(largest, size), 0),
    };
  }

  /** How many buffers begin below an address. */
  #placeOf(address: number): number {
    let low = 0;
    let high = this.#buffers.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#buffers[middle].physicalAddress < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #gaps(): { region: R; base: number; size: number }[] {
    return this.#regions.flatMap((region) => {
      const end = region.base + region.size;
      const gaps = [];
      let from = region.base;
      for (const { physicalAddress, byteLength } of this.#buffers) {
        if (physicalAddress < region.base || physicalAddress >= end) continue;
        if (physicalAddress > from) gaps.push({ region, base: from, size: physicalAddress - from });
        from = physicalAddress + byteLength;
      }
      if (from < end) gaps.push({ region, base: from, size: end - from });
      return gaps;
    });
  }
}
