import { constants } from 'node:fs';
import type { DmaDevices } from '../board/index.js';
import { isPynqLlmError, PynqLlmError } from '../errors/index.js';
import type { DmaMemory } from './dma-memory.js';
import { UioInterrupts, Waiter } from './interrupts.js';
import type { LinuxSystem } from './linux-system.js';
import { readCma } from './preflight.js';
import { openDevice, type SystemFiles, sizeText } from './system-files.js';
import { OpenedBuffer, U_DMA_BUF_CLASS } from './u-dma-buf.js';

/** Makes and deletes u-dma-buf devices; of the module u-dma-buf-mgr. */
export const U_DMA_BUF_MANAGER = '/dev/u-dma-buf-mgr';
/** Devices are not made smaller: the driver's largest buffer has to lie in one. */
const SMALLEST = 2 ** 21;
/** Until udev has given a new device's nodes to the agent's group. */
const UDEV_US = 2_000_000;
const PAGE = 4096;

/**
 * Makes the devices of a description through u-dma-buf-mgr and maps them; `close` deletes them. Devices of these names
 * that are there already are what a killed process left, and are deleted first. Where CMA does not give as much in one
 * piece, devices are made smaller: weights that find no room are staged.
 *
 * @throws PynqLlmError LINUX_DMA_MEMORY_FRAGMENTED where not one device can be made, LINUX_OPEN_FAILED,
 *   LINUX_MAP_FAILED, LINUX_SYSFS_UNREADABLE, LINUX_DEVICE_NOT_DELETED
 */
export function makeUDmaBuf(devices: DmaDevices, system: LinuxSystem): DmaMemory {
  const manager = new Manager(system.files);
  const opened: OpenedBuffer[] = [];
  const close = () => {
    for (const buffer of opened) buffer.close();
    manager.close();
  };
  try {
    for (const name of devices.names) if (isThere(system.files, name)) manager.delete(name);
    const sizes = affordable(devices, readCma(system.files).free);
    for (const [i, name] of devices.names.entries()) {
      const kind = i % 2 === 0 ? 'inBytes' : 'outBytes';
      sizes[kind] = manager.create(name, sizes[kind]);
      // No later device is asked for more than the kernel has just refused; with nothing left none is asked for.
      if (sizes[kind] === 0) break;
      opened.push(openWhenReady(name, system));
    }
    if (opened.length === 0) throw fragmented(devices, system.files);
  } catch (error) {
    close();
    throw error;
  }
  return { kind: 'u-dma-buf', detail: describe(devices, opened), regions: opened, close };
}

class Manager {
  readonly #files: SystemFiles;
  readonly #fd: number;
  readonly #made: string[] = [];

  constructor(files: SystemFiles) {
    this.#files = files;
    this.#fd = openDevice(files, U_DMA_BUF_MANAGER, constants.O_WRONLY);
  }

  /** @returns bytes of the device: `size`, or a half of it, and so on, as far as the kernel refuses; 0 where it refuses all */
  create(name: string, size: number): number {
    for (let bytes = size; bytes >= SMALLEST; bytes = halved(bytes)) {
      // A device whose memory could not be had may be an error of the write, or a device that never appears.
      const accepted = this.#command(`create ${name} ${bytes}`) === undefined;
      if (isThere(this.#files, name)) {
        this.#made.push(name);
        return bytes;
      }
      if (accepted) this.#command(`delete ${name}`);
    }
    return 0;
  }

  /** @throws PynqLlmError LINUX_DEVICE_NOT_DELETED */
  delete(name: string): void {
    const cause = this.#command(`delete ${name}`);
    if (!isThere(this.#files, name)) return;
    const why = cause instanceof Error ? `: ${cause.message}` : '';
    throw new PynqLlmError(
      'LINUX_DEVICE_NOT_DELETED',
      `${name}, which an earlier process left, cannot be deleted${why}.`,
      { context: { device: name }, ...(cause !== undefined && { cause }) },
    );
  }

  /** What cannot be deleted now is deleted by name before the next start. */
  close(): void {
    for (const name of this.#made.splice(0).toReversed()) this.#command(`delete ${name}`);
    this.#files.closeSync(this.#fd);
  }

  /** The module takes a line at a time. @returns the error of the write */
  #command(command: string): unknown {
    const line = Buffer.from(`${command}\n`, 'latin1');
    try {
      this.#files.writeSync(this.#fd, line, 0, line.length, null);
      return undefined;
    } catch (error) {
      return error;
    }
  }
}

function isThere(files: SystemFiles, name: string): boolean {
  return files.existsSync(`${U_DMA_BUF_CLASS}/${name}`);
}

/** Asking for more than CMA has free cannot succeed, and failing allocations are not harmless to the system. */
function affordable({ names, inBytes, outBytes }: DmaDevices, cmaFree: number) {
  const sizes = { inBytes, outBytes };
  const lanes = names.length / 2;
  while (cmaFree > 0 && lanes * (sizes.inBytes + sizes.outBytes) > cmaFree) {
    const larger = sizes.inBytes >= sizes.outBytes ? 'inBytes' : 'outBytes';
    if (halved(sizes[larger]) < SMALLEST) break;
    sizes[larger] = halved(sizes[larger]);
  }
  return sizes;
}

function halved(bytes: number): number {
  return Math.floor(bytes / 2 / PAGE) * PAGE;
}

/** A new device is there at once; that this user may open it is udev's doing, which comes a little later. */
function openWhenReady(name: string, { files, mapper, now, waitReadable }: LinuxSystem): OpenedBuffer {
  let opened: OpenedBuffer | undefined;
  let last: unknown;
  const waiter = new Waiter(now, new UioInterrupts(files, [], waitReadable));
  waiter.waitUntil(() => {
    try {
      opened = new OpenedBuffer(name, files, mapper);
      return true;
    } catch (error) {
      if (!isPynqLlmError(error, 'LINUX_OPEN_FAILED')) throw error;
      last = error;
      return false;
    }
  }, UDEV_US);
  if (opened === undefined) throw last;
  return opened;
}

function describe({ names, inBytes, outBytes }: DmaDevices, opened: readonly OpenedBuffer[]): string {
  const text = opened.map(({ detail }) => detail).join(', ');
  const wanted = (names.length / 2) * (inBytes + outBytes);
  const has = opened.reduce((sum, { size }) => sum + size, 0);
  return has === wanted
    ? text
    : `${text}: less than the ${sizeText(wanted)} described, because CMA had no larger pieces; after a restart of the board it may`;
}

function fragmented({ names, inBytes }: DmaDevices, files: SystemFiles): PynqLlmError {
  const { total, free } = readCma(files);
  return new PynqLlmError(
    'LINUX_DMA_MEMORY_FRAGMENTED',
    `${names[0]} could not be made, neither of ${sizeText(inBytes)} nor of less: CMA has ${sizeText(total)}, ${sizeText(free)} of it free, and no piece of ${sizeText(SMALLEST)}.`,
    { context: { device: names[0]!, wanted: inBytes, cmaTotal: total, cmaFree: free } },
  );
}
