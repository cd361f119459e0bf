import type { DmaBuffer, DmaDirection } from '../board/index.js';

/** A buffer as a DMA engine sees it. */
export interface DeviceBuffer extends DmaBuffer {
  /** The memory that the buffer lies in, and its offset there in bytes. */
  readonly source: Int32Array;
  readonly offset: number;
  /**
   * The device writes whole words.
   * @param offset bytes in the buffer
   * @param at where they lie in `source`, and how many, in words
   */
  deviceWrite(offset: number, source: Int32Array, at: number, words: number): void;
}

/** DMA memory of a board, with physical addresses and buffers. */
export interface DeviceMemory {
  /** Whether a physical range is DMA memory. */
  contains(address: number, byteLength: number): boolean;
  /** The buffer that holds the whole physical range. */
  bufferAt(address: number, byteLength: number): DeviceBuffer | undefined;
  /** First fit, or at one address alone. @throws PynqLlmError DRIVER_DMA_MEMORY_FULL, DRIVER_BAD_ARGUMENT */
  allocate(byteLength: number, align: number, direction: DmaDirection, at?: number): DmaBuffer;
  usage(): { total: number; free: number; largestFree: number };
  close(): void;
}

/** Who must know when memory that the device reads changes. */
export interface MemoryListener {
  /** CPU or device is about to write here, from offset `start` to before `end` of the kernels' address space. */
  overwritten(start: number, end: number): void;
  /** The CPU gets a range of the buffer back. */
  handedBack(buffer: DeviceBuffer, offset: number, byteLength: number): void;
}
