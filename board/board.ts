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

/** Where a buffer is to lie, and what for. */
export interface AllocateOptions {
  /** Bytes, a power of two; 64 at least. */
  readonly align?: number;
  /** Physical address; wherever there is room unless given. */
  readonly at?: number | undefined;
  /** `both` unless given. Caches are synchronised only where bytes really went. */
  readonly direction?: DmaDirection;
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

/** Which way a buffer's bytes go; `both` where it is not known. */
export type DmaDirection = 'to-device' | 'from-device' | 'both';

/**
 * DMA memory whose ranges have an owner: the CPU at first. What shares a cache line (64 bytes from the buffer's start)
 * changes hands together. The CPU touches only what it owns, and only by `write` and `read`: memory that is not
 * cached must be accessed once, in place and in whole words, which a view of it could not ensure.
 *
 * Ranges are bytes from the buffer's start; without one, all of it. Calls throw DRIVER_ADDRESS_OUT_OF_RANGE for a range
 * that is not within the buffer, and DRIVER_BUFFER_FREED once it is freed.
 */
export interface DmaBuffer {
  /** What a DMA engine is given. */
  readonly physicalAddress: number;
  readonly byteLength: number;
  readonly direction: DmaDirection;
  ownerOf(offset?: number, byteLength?: number): 'cpu' | 'device' | 'both';
  /**
   * Writes `source[at..at+byteLength-1]`; nothing is read back. Not for buffers `from-device`.
   * @throws PynqLlmError DRIVER_BUFFER_NOT_OWNED while the device owns some of the range
   */
  write(offset: number, source: Uint8Array, at?: number, byteLength?: number): void;
  /**
   * Reads into `into[at..at+byteLength-1]`.
   * @throws PynqLlmError DRIVER_BUFFER_NOT_OWNED while the device owns some of the range
   */
  read(offset: number, into: Uint8Array, at?: number, byteLength?: number): void;
  /**
   * Hands a range to the device: what the CPU wrote reaches memory before any later register access. Idempotent.
   * @returns bytes of whole cache lines that had to be made visible to the device
   */
  giveToDevice(offset?: number, byteLength?: number): number;
  /**
   * Takes a range back: unless the buffer is `to-device`, the CPU sees what the device wrote. Idempotent.
   * @returns bytes of whole cache lines that had to be made visible to the CPU
   */
  giveToCpu(offset?: number, byteLength?: number): number;
  /** Gives the memory back. A freed buffer is never used again. */
  free(): void;
}

/** A fault that the board can name by itself. */
export interface BoardFault {
  /** Name from the mock's table of faults, such as `stream-desynchronised`. */
  readonly name: string;
  readonly detail: string;
}
