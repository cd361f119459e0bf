import type { BoardDescription } from './description.js';

/**
 * The one seam: everything above it is the same code on hardware, on the mock and in every test.
 * Synchronous, because it is used on the device worker only, where nothing else waits for the thread.
 */
export interface Board {
  readonly description: BoardDescription;
  /** A declared register window by its name in the description: `control`, `hwc`, `dma0`..`dma3`. */
  window(name: string): RegisterWindow;
  /**
   * Physically contiguous memory that the DMA engines reach, owned by the CPU at first, aligned to 64 bytes or `align`.
   * With `at` it lies at that physical address, or not at all.
   * @throws PynqLlmError DRIVER_DMA_MEMORY_FULL
   */
  allocate(byteLength: number, options?: AllocateOptions): DmaBuffer;
  /** DMA memory keeps its contents and its addresses when the process ends, and is not cleared when it is allocated. */
  readonly keepsMemory?: boolean;
  /** What is left of the DMA memory, in bytes. */
  dmaMemory(): { readonly total: number; readonly free: number; readonly largestFree: number };
  /**
   * Lets the device run until `done()` holds or `timeoutUs` of the board's time have passed; `done` is asked
   * at first and after each interrupt or poll. Returns whether it held. Never throws for a late device.
   */
  waitUntil(done: () => boolean, timeoutUs: number): boolean;
  /** Microseconds of the board's time since an arbitrary start: real time on hardware, simulated on the mock. */
  now(): number;
  /** What the board itself knows of faults since the last call (the mock: named faults; hardware: usually nothing). */
  takeFaults(): readonly BoardFault[];
  /** Power-on state of the programmable logic where the board can do it: the last resort of recovery. */
  resetLogic(): void;
  close(): void;
}

/** Where a buffer is to lie. */
export interface AllocateOptions {
  /** Bytes, a power of two. */
  readonly align?: number;
  /** Physical address. */
  readonly at?: number | undefined;
}

/** A block of 32-bit registers. One call is one aligned access on the bus. */
export interface RegisterWindow {
  readonly name: string;
  /** Physical address of offset 0. */
  readonly base: number;
  /** Bytes. */
  readonly size: number;
  /** @param offset bytes from `base`, a multiple of 4 @returns an unsigned 32-bit number */
  read32(offset: number): number;
  write32(offset: number, value: number): void;
}

/** DMA memory with an owner. Bytes may be touched only while the CPU owns them. */
export interface DmaBuffer {
  /** What a DMA engine is given. */
  readonly physicalAddress: number;
  readonly byteLength: number;
  /** The memory itself. @throws PynqLlmError DRIVER_BUFFER_NOT_OWNED while the device owns it */
  readonly bytes: Uint8Array;
  readonly owner: 'cpu' | 'device';
  /** Hands the buffer to the device: caches are written back. Idempotent. */
  giveToDevice(): void;
  /** Hands it back to the CPU: stale cache lines are dropped. Idempotent. */
  giveToCpu(): void;
  /** Gives the memory back. A freed buffer is never used again. */
  free(): void;
}

/** A fault that the board can name by itself. */
export interface BoardFault {
  /** Name from the mock's table of faults, such as `stream-desynchronised`. */
  readonly name: string;
  readonly detail: string;
}
