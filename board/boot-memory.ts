import type { BoardDescription } from './description.js';

const MEBI = 2 ** 20;

type Memory = Pick<BoardDescription, 'dmaMemory' | 'memoryBytes' | 'dmaDevices'>;

/** How a board's Linux is made to leave memory to DMA. */
export interface BootMemory {
  /** For the kernel's command line, such as `mem=152M` or `cma=352M`; undefined where only a device tree can do it. */
  readonly argument: string | undefined;
  /** Device-tree node that keeps the memory from Linux instead; undefined where memory comes from CMA. */
  readonly node: string | undefined;
}

/** What contiguous memory a system needs beside ours: network and USB buffers. */
const CMA_FOR_OTHERS = 32 * MEBI;

/** Where a PYNQ image has the kernel's command line; U-Boot's own is what boots where there is no such file. */
export const WHERE_BOOT_ARGUMENTS =
  "PYNQ images: the line bootargs= of uEnv.txt on the boot partition, /boot, which U-Boot reads where it is there, else boot.scr or the device tree's /chosen; /proc/cmdline shows what took effect";

/** The boot argument, and the node, that give a board the DMA memory of its description. */
export function bootMemory(board: Memory): BootMemory {
  const total = board.dmaMemory.reduce((sum, { size }) => sum + size, 0);
  if (board.dmaDevices !== undefined)
    return { argument: `cma=${Math.ceil((total + CMA_FOR_OTHERS) / MEBI)}M`, node: undefined };
  const first = board.dmaMemory.reduce((least, { base }) => Math.min(least, base), Number.POSITIVE_INFINITY);
  // mem= ends Linux's memory: it keeps what lies at the end of RAM, and nothing else.
  const isAtEnd = first + total === board.memoryBytes;
  return {
    argument: isAtEnd ? `mem=${first / MEBI}M` : undefined,
    node: board.dmaMemory.map(({ base, size }) => reservation(base, size)).join(' '),
  };
}

/** A device tree node that keeps memory from Linux (boards of these families address it with one cell each). */
export function reservation(base: number, size: number): string {
  return `reserved-memory { #address-cells = <1>; #size-cells = <1>; ranges; dma@${base.toString(16)} { reg = <0x${base.toString(16)} 0x${size.toString(16)}>; no-map; }; };`;
}
