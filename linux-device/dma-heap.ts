import { constants } from 'node:fs';
import { PynqLlmError } from '../errors/index.js';
import type { DmaMemory, MemoryAbsent } from './dma-memory.js';
import type { Mapper, Mapping } from './mapper.js';
import { hex, listDirectory, openDevice, type SystemFiles, sizeText } from './system-files.js';

const HEAPS = '/dev/dma_heap';
const PAGEMAP = '/proc/self/pagemap';
const ENTRY_BYTES = 8;
/** Of a pagemap entry: page present, and its frame number (Documentation/admin-guide/mm/pagemap.rst). */
const PRESENT = 1n << 63n;
const FRAME = (1n << 55n) - 1n;

/** Memory of a dma-heap in this process. */
export interface HeapBuffer {
  readonly mapping: Mapping;
  /** Virtual. */
  readonly address: number;
  free(): void;
}

/** Allocates from a heap and maps. @throws PynqLlmError LINUX_OPEN_FAILED, LINUX_MAP_FAILED */
export type HeapAllocator = (heap: string, size: number) => HeapBuffer;

/**
 * One buffer of an uncached dma-heap, where the kernel shows that it is physically in one piece.
 *
 * Cached heaps are of no use: the kernel synchronises the caches of a dma-buf only for devices attached to it
 * (cma_heap.c, end_cpu_access), and the core's DMA engines have no kernel driver that could attach.
 *
 * @throws PynqLlmError LINUX_PHYSICAL_ADDRESS_UNKNOWN, LINUX_OPEN_FAILED, LINUX_MAP_FAILED
 */
export function openDmaHeap(
  files: SystemFiles,
  allocate: HeapAllocator,
  mapper: Mapper,
  sizeToAsk: () => number,
): DmaMemory | MemoryAbsent {
  const heaps = listDirectory(files, HEAPS);
  const heap = heaps.find((name) => name.includes('uncached'));
  if (heap === undefined)
    return {
      absent:
        heaps.length === 0
          ? `no dma-heap (${HEAPS})`
          : `no uncached dma-heap (${heaps.join(', ')}): the kernel would not synchronise caches for the core`,
    };
  const size = sizeToAsk();
  const buffer = allocate(`${HEAPS}/${heap}`, size);
  const close = () => {
    buffer.mapping.unmap();
    buffer.free();
  };
  try {
    const base = physicalAddress(files, buffer, size, mapper.pageSize);
    const { bytes, words } = buffer.mapping;
    return {
      kind: 'dma-heap',
      detail: `dma-heap ${heap} (${sizeText(size)} at ${hex(base)})`,
      regions: [{ base, size, bytes, words, caches: undefined }],
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** Reads where every page lies and checks that each follows the one before. */
function physicalAddress(files: SystemFiles, buffer: HeapBuffer, size: number, pageSize: number): number {
  const pages = Math.ceil(size / pageSize);
  // A page has no place before it was touched.
  for (let page = 0; page < pages; page++) buffer.mapping.words[(page * pageSize) / 4] = 0;
  const entries = Buffer.alloc(pages * ENTRY_BYTES);
  const fd = openDevice(files, PAGEMAP, constants.O_RDONLY);
  try {
    const from = Math.floor(buffer.address / pageSize) * ENTRY_BYTES;
    for (let read = 0; read < entries.length; ) {
      const got = files.readSync(fd, entries, read, entries.length - read, from + read);
      if (got === 0) throw unknown(`${PAGEMAP} ends early`);
      read += got;
    }
  } finally {
    files.closeSync(fd);
  }
  const first = entries.readBigUInt64LE(0) & FRAME;
  if (first === 0n) throw unknown(`${PAGEMAP} hides addresses from this user (CAP_SYS_ADMIN shows them)`);
  for (let page = 0; page < pages; page++) {
    const entry = entries.readBigUInt64LE(page * ENTRY_BYTES);
    if ((entry & PRESENT) === 0n) throw unknown(`page ${page} is not in memory`);
    if ((entry & FRAME) !== first + BigInt(page))
      throw unknown(`page ${page} does not follow the page before`);
  }
  return Number(first) * pageSize;
}

function unknown(why: string): PynqLlmError {
  return new PynqLlmError(
    'LINUX_PHYSICAL_ADDRESS_UNKNOWN',
    `The physical address of a dma-heap buffer cannot be established: ${why}.`,
    { context: { why } },
  );
}
