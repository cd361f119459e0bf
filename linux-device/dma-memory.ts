import type { MemoryRegion } from '../board/index.js';

/** Ways to memory that DMA engines reach, in the order in which they are tried. */
export const MEMORY_KINDS = ['u-dma-buf', 'reserved', 'xrt', 'dma-heap'] as const;
export type MemoryKind = (typeof MEMORY_KINDS)[number];

/** Physically contiguous memory, mapped. */
export interface DmaRegion extends MemoryRegion {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  /**
   * How the CPU's caches are kept out of the way; undefined where the mapping is not cached. Offsets and lengths are
   * bytes in the region.
   */
  readonly caches: CacheControl | undefined;
}

/** Cache maintenance. @throws PynqLlmError LINUX_SYNC_FAILED, LINUX_XRT_FAILED */
export interface CacheControl {
  /** Writes back what the CPU wrote. */
  forDevice(offset: number, byteLength: number): void;
  /** Drops lines that the device has overwritten in memory. */
  forCpu(offset: number, byteLength: number): void;
}

/** The DMA memory of a board. */
export interface DmaMemory {
  readonly kind: MemoryKind;
  /** For people: which devices, how much. */
  readonly detail: string;
  readonly regions: readonly DmaRegion[];
  /** Unmaps and gives everything back. */
  close(): void;
}

/** Whether the next process finds what this one leaves in it: devices of the kernel may be made anew, and with them their memory. */
export function outlivesProcess({ kind }: DmaMemory): boolean {
  return kind === 'reserved';
}

/** Why a way is not there on this board: shown to the user when no way is. */
export interface MemoryAbsent {
  readonly absent: string;
}
