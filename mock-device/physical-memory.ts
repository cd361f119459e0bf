import {
  type BoardDescription,
  type DmaBuffer,
  type DmaDirection,
  OwnedDmaBuffer,
  RegionAllocator,
} from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';
import { type KernelMemory, PREPARED_INPUT, reserveMemory } from './kernel.js';

const PAGE = 65536;

/**
 * The core's own memories, at the bottom of the address space that the kernels see; DMA memory follows, so that
 * kernels read weights where the DMA finds them. The first page is left to the kernels' own constants.
 */
export const CORE_AREA = {
  laneAddresses: PAGE,
  scratch: PAGE + 64,
  /** Prepared input blocks, 512 of them. */
  inputs: PAGE + 1024,
  /** Words of a LOAD_INP that came in several transfers. */
  gatheredInputs: PAGE + 1024 + 512 * PREPARED_INPUT.bytes,
  /** Weight blocks, 1024 of the widest type, that are no longer or never were in one piece in DMA memory. */
  gatheredWeights: PAGE + 1024 + 512 * PREPARED_INPUT.bytes + 512 * 292,
  /** Results of one COMPUTE: at most 1024 rows and 512 columns. */
  outputs: PAGE + 1024 + 512 * PREPARED_INPUT.bytes + 512 * 292 + 1024 * 212,
} as const;
const DMA_AREA = Math.ceil((CORE_AREA.outputs + 1024 * 512 * 4) / PAGE) * PAGE;

interface Region {
  readonly base: number;
  readonly size: number;
  /** Where the region lies in the kernels' address space. */
  readonly offset: number;
}

/** Who must know when memory that the device reads changes. */
export interface MemoryListener {
  /** CPU or device is about to write here, from offset `start` to before `end` of the kernels' address space. */
  overwritten(start: number, end: number): void;
  /** The CPU gets a range of the buffer back. */
  handedBack(buffer: MockDmaBuffer, offset: number, byteLength: number): void;
}

/** DMA memory of a board, with physical addresses, buffers and their owners. Untouched pages cost no memory. */
export class PhysicalMemory {
  readonly memory: KernelMemory;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  /** The same as signed words: what moves whole words is faster without numbers beyond 2^31. */
  readonly signedWords: Int32Array;
  readonly #regions: Region[] = [];
  readonly #allocator: RegionAllocator<Region, MockDmaBuffer>;
  readonly #listener: MemoryListener;

  /** @throws PynqLlmError MOCK_MEMORY_UNAVAILABLE */
  constructor(description: BoardDescription, listener: MemoryListener) {
    this.#listener = listener;
    let offset = DMA_AREA;
    for (const { base, size } of description.dmaMemory) {
      this.#regions.push({ base, size, offset });
      offset += Math.ceil(size / PAGE) * PAGE;
    }
    // Reserved at its full size: growing would detach every view of it.
    const pages = offset / PAGE;
    try {
      this.memory = reserveMemory(pages);
    } catch (cause) {
      throw new PynqLlmError('MOCK_MEMORY_UNAVAILABLE', `${offset} bytes could not be reserved.`, { cause });
    }
    this.bytes = new Uint8Array(this.memory.buffer);
    this.words = new Uint32Array(this.memory.buffer);
    this.signedWords = new Int32Array(this.memory.buffer);
    this.#allocator = new RegionAllocator(this.#regions);
  }

  /** Whether a physical range is DMA memory. */
  contains(address: number, byteLength: number): boolean {
    return this.#regions.some(({ base, size }) => address >= base && address + byteLength <= base + size);
  }

  /** The buffer that holds the whole physical range. */
  bufferAt(address: number, byteLength: number): MockDmaBuffer | undefined {
    return this.#allocator.bufferAt(address, byteLength);
  }

  /** First fit. @throws PynqLlmError DRIVER_DMA_MEMORY_FULL, DRIVER_BAD_ARGUMENT */
  allocate(byteLength: number, align: number, direction: DmaDirection, at?: number): DmaBuffer {
    return this.#allocator.allocate(
      byteLength,
      align,
      (address, region, offset) =>
        new MockDmaBuffer(this, address, region.offset + offset, byteLength, direction, this.#listener),
      at,
    );
  }

  /** @param buffer is forgotten; its memory may be allocated again */
  forget(buffer: MockDmaBuffer): void {
    this.#allocator.release(buffer);
  }

  usage(): { total: number; free: number; largestFree: number } {
    return this.#allocator.usage();
  }
}

/** DMA memory whose ranges have an owner; see the Board seam. */
export class MockDmaBuffer extends OwnedDmaBuffer {
  readonly #owningMemory: PhysicalMemory;
  readonly #listener: MemoryListener;

  constructor(
    owningMemory: PhysicalMemory,
    physicalAddress: number,
    /** Where the buffer lies in the kernels' address space. */
    readonly offset: number,
    byteLength: number,
    direction: DmaDirection,
    listener: MemoryListener,
  ) {
    super(physicalAddress, byteLength, direction);
    this.#owningMemory = owningMemory;
    this.#listener = listener;
  }

  protected copyIn(offset: number, source: Uint8Array, at: number, byteLength: number): void {
    const to = this.offset + offset;
    this.#listener.overwritten(to, to + byteLength);
    this.#owningMemory.bytes.set(source.subarray(at, at + byteLength), to);
  }

  protected copyOut(offset: number, into: Uint8Array, at: number, byteLength: number): void {
    const from = this.offset + offset;
    into.set(this.#owningMemory.bytes.subarray(from, from + byteLength), at);
  }

  protected handOver(): void {}

  protected handBack(offset: number, byteLength: number): void {
    this.#listener.handedBack(this, offset, byteLength);
  }

  protected release(): void {
    this.#owningMemory.forget(this);
  }

  /**
   * The device writes whole words.
   * @param offset in the buffer
   */
  deviceWrite(offset: number, source: Int32Array): void {
    const at = this.offset + offset;
    this.#listener.overwritten(at, at + source.byteLength);
    this.#owningMemory.signedWords.set(source, at / 4);
  }
}
