import type { HeapAllocator } from './dma-heap.js';
import type { WaitReadable } from './interrupts.js';
import { allocateFromHeap } from './koffi-dma-heap.js';
import { waitReadable } from './koffi-libc.js';
import { KoffiMapper } from './koffi-mapper.js';
import { loadXrt } from './koffi-xrt.js';
import type { Mapper } from './mapper.js';
import { type SystemFiles, systemFiles } from './system-files.js';
import type { XrtLibrary } from './xrt.js';

/** Everything that the driver asks of the machine that it runs on. Tests put a board's file system in its place. */
export interface LinuxSystem {
  /** As Node's `process` has them. */
  readonly platform: string;
  readonly arch: string;
  readonly files: SystemFiles;
  readonly mapper: Mapper;
  readonly waitReadable: WaitReadable;
  readonly loadXrt: (path: string) => XrtLibrary;
  readonly allocateFromHeap: HeapAllocator;
  /** Microseconds of a clock that never goes back. */
  readonly now: () => number;
}

/** The machine that this process runs on. */
export const thisMachine: LinuxSystem = {
  platform: process.platform,
  arch: process.arch,
  files: systemFiles,
  mapper: new KoffiMapper(),
  waitReadable,
  loadXrt,
  allocateFromHeap,
  now: () => performance.now() * 1000,
};
