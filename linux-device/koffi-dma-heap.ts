import { closeSync, constants, openSync } from 'node:fs';
import { PynqLlmError } from '../errors/index.js';
import type { HeapBuffer } from './dma-heap.js';
import { loadLibc } from './koffi-libc.js';
import { errnoName, loadKoffi } from './koffi-library.js';
import { mapDescriptor } from './koffi-mapper.js';
import { openFailed, sizeText } from './system-files.js';

/** DMA_HEAP_IOCTL_ALLOC of linux/dma-heap.h: length (u64), descriptor and its flags (u32), heap flags (u64). */
const ALLOCATE = 0xc018_4800;
const ALLOCATION_BYTES = 24;

/**
 * Allocates from a dma-heap of this machine.
 * @throws PynqLlmError LINUX_OPEN_FAILED, LINUX_MAP_FAILED, LINUX_KOFFI_MISSING
 */
export function allocateFromHeap(heap: string, size: number): HeapBuffer {
  const fd = allocateDescriptor(heap, size);
  try {
    const { mapping, address } = mapDescriptor(fd, { path: heap, offset: 0, length: size, cached: true });
    return { mapping, address: Number(address), free: () => closeSync(fd) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function allocateDescriptor(heap: string, size: number): number {
  let heapFd: number;
  try {
    heapFd = openSync(heap, constants.O_RDWR);
  } catch (cause) {
    throw openFailed(heap, cause);
  }
  try {
    const request = Buffer.alloc(ALLOCATION_BYTES);
    request.writeBigUInt64LE(BigInt(size), 0);
    request.writeUInt32LE(constants.O_RDWR, 12);
    if (loadLibc().ioctl(heapFd, ALLOCATE, request) !== 0)
      throw new PynqLlmError(
        'LINUX_MAP_FAILED',
        `${heap} gives no ${sizeText(size)}: ${errnoName(loadKoffi().errno())}.`,
        { context: { heap, size } },
      );
    return request.readUInt32LE(8);
  } finally {
    closeSync(heapFd);
  }
}
