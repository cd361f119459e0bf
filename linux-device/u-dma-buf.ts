import { constants } from 'node:fs';
import { PynqLlmError } from '../errors/index.js';
import type { CacheControl, DmaMemory, DmaRegion, MemoryAbsent } from './dma-memory.js';
import type { Mapper, Mapping } from './mapper.js';
import { hex, listDirectory, openDevice, readNumber, type SystemFiles, sizeText } from './system-files.js';

export const U_DMA_BUF_CLASS = '/sys/class/u-dma-buf';
/** Modes 5 to 7 turn the CPU's cache off even for a node that is opened without O_SYNC (u-dma-buf's README). */
const FIRST_UNCACHED_MODE = 5;

/**
 * All u-dma-buf devices of the board, mapped with the CPU's cache and synchronised through sysfs.
 *
 * @throws PynqLlmError LINUX_OPEN_FAILED, LINUX_MAP_FAILED, LINUX_SYSFS_UNREADABLE
 */
export function openUDmaBuf(files: SystemFiles, mapper: Mapper): DmaMemory | MemoryAbsent {
  const names = listDirectory(files, U_DMA_BUF_CLASS);
  if (names.length === 0)
    return {
      absent: `no u-dma-buf device (${U_DMA_BUF_CLASS} is ${files.existsSync(U_DMA_BUF_CLASS) ? 'empty' : 'not there'})`,
    };
  const opened: OpenedBuffer[] = [];
  try {
    for (const name of names) opened.push(new OpenedBuffer(name, files, mapper));
  } catch (error) {
    for (const buffer of opened) buffer.close();
    throw error;
  }
  return {
    kind: 'u-dma-buf',
    detail: opened.map(({ detail }) => detail).join(', '),
    regions: opened,
    close: () => {
      for (const buffer of opened) buffer.close();
    },
  };
}

/** A device, mapped. */
export class OpenedBuffer implements DmaRegion {
  readonly base: number;
  readonly size: number;
  /** For people: its name, size and place. */
  readonly detail: string;
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly caches: CacheControl | undefined;
  readonly #mapping: Mapping;
  readonly #syncFds: number[] = [];
  readonly #command = Buffer.alloc('0x0000000000000000'.length);

  readonly #files: SystemFiles;

  constructor(
    readonly name: string,
    files: SystemFiles,
    mapper: Mapper,
  ) {
    this.#files = files;
    const directory = `${U_DMA_BUF_CLASS}/${name}`;
    this.base = readNumber(files, `${directory}/phys_addr`);
    this.size = readNumber(files, `${directory}/size`);
    this.detail = `${name} (${sizeText(this.size)} at ${hex(this.base)})`;
    const uncached = readNumber(files, `${directory}/sync_mode`) >= FIRST_UNCACHED_MODE;
    try {
      if (!uncached) this.caches = this.#openCaches(directory);
      this.#mapping = mapper.map({ path: `/dev/${name}`, offset: 0, length: this.size, cached: true });
    } catch (error) {
      this.#closeFds();
      throw error;
    }
    this.bytes = this.#mapping.bytes;
    this.words = this.#mapping.words;
  }

  close(): void {
    this.#mapping.unmap();
    this.#closeFds();
  }

  #closeFds(): void {
    for (const fd of this.#syncFds.splice(0)) this.#files.closeSync(fd);
  }

  #openCaches(directory: string): CacheControl {
    const open = (file: string) => {
      const fd = openDevice(this.#files, `${directory}/${file}`, constants.O_WRONLY);
      this.#syncFds.push(fd);
      return fd;
    };
    const forDevice = open('sync_for_device');
    const forCpu = open('sync_for_cpu');
    return {
      forDevice: (offset, byteLength) => this.#sync(forDevice, 'sync_for_device', offset, byteLength),
      forCpu: (offset, byteLength) => this.#sync(forCpu, 'sync_for_cpu', offset, byteLength),
    };
  }

  /**
   * One write carries the whole command: offset in the high word; size (a multiple of 16), direction in bits 2 and 3
   * (0: both) and the order itself in bit 0 of the low word (u-dma-buf's README, sync_for_cpu). Buffers start on cache
   * lines of their own, so rounding the size up touches nobody else's bytes.
   */
  #sync(fd: number, file: string, offset: number, byteLength: number): void {
    const size = Math.min(Math.ceil(byteLength / 64) * 64, this.size - offset);
    const word = (value: number) => value.toString(16).padStart(8, '0');
    this.#command.write(`0x${word(offset)}${word(((size & ~15) | 1) >>> 0)}`, 'latin1');
    try {
      this.#files.writeSync(fd, this.#command, 0, this.#command.length, 0);
    } catch (cause) {
      throw new PynqLlmError(
        'LINUX_SYNC_FAILED',
        `${file} of ${this.name} refused bytes ${offset} to ${offset + byteLength}: ${cause instanceof Error ? cause.message : String(cause)}.`,
        { context: { device: this.name, offset, byteLength }, cause },
      );
    }
  }
}
