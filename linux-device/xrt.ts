import { PynqLlmError } from '../errors/index.js';
import type { DmaMemory, DmaRegion, MemoryAbsent } from './dma-memory.js';
import type { Mapping } from './mapper.js';
import { hex, type SystemFiles, sizeText } from './system-files.js';

/** Where PYNQ's images and Xilinx's packages put the library of the Xilinx runtime. */
const LIBRARIES = [
  '/usr/lib/libxrt_core.so.2',
  '/usr/lib/aarch64-linux-gnu/libxrt_core.so.2',
  '/usr/lib/arm-linux-gnueabihf/libxrt_core.so.2',
  '/opt/xilinx/xrt/lib/libxrt_core.so.2',
];
/** Flags of a buffer object: cacheable (bit 24), memory bank 0 (XRT, xrt_mem.h). */
export const XRT_CACHEABLE = 1 << 24;

/** The calls of libxrt_core that allocate memory (XRT, xrt.h). Handles are the library's own. */
export interface XrtLibrary {
  /** Undefined where there is no device. */
  open(deviceIndex: number): XrtDevice | undefined;
}

export interface XrtDevice {
  /** Undefined where the memory is not there. */
  allocate(size: number, flags: number): XrtBuffer | undefined;
  close(): void;
}

export interface XrtBuffer {
  readonly physicalAddress: number;
  /** @throws PynqLlmError LINUX_XRT_FAILED */
  map(): Mapping;
  /** Returns 0, or an error number. */
  sync(direction: 'to-device' | 'from-device', size: number, offset: number): number;
  free(): void;
}

/**
 * One buffer object of the Xilinx runtime, mapped with the CPU's cache.
 *
 * @param sizeToAsk bytes to ask for, once it is clear that the runtime is there
 * @throws PynqLlmError LINUX_XRT_FAILED, LINUX_KOFFI_MISSING, and what `sizeToAsk` throws
 */
export function openXrtMemory(
  files: SystemFiles,
  load: (path: string) => XrtLibrary,
  sizeToAsk: () => number,
): DmaMemory | MemoryAbsent {
  const path = LIBRARIES.find((library) => files.existsSync(library));
  if (path === undefined) return { absent: 'no libxrt_core.so.2 of the Xilinx runtime' };
  const size = sizeToAsk();
  const device = load(path).open(0);
  if (device === undefined)
    return { absent: `the Xilinx runtime (${path}) opens no device: is zocl loaded, is XILINX_XRT set?` };
  const buffer = device.allocate(size, XRT_CACHEABLE);
  if (buffer === undefined) {
    device.close();
    throw new PynqLlmError(
      'LINUX_XRT_FAILED',
      `The Xilinx runtime has no buffer object of ${sizeText(size)}.`,
      {
        context: { library: path, size },
      },
    );
  }
  try {
    const region = new XrtRegion(buffer, size, buffer.map());
    return {
      kind: 'xrt',
      detail: `a buffer object of ${path} (${sizeText(size)} at ${hex(region.base)})`,
      regions: [region],
      close: () => {
        region.unmap();
        buffer.free();
        device.close();
      },
    };
  } catch (error) {
    buffer.free();
    device.close();
    throw error;
  }
}

class XrtRegion implements DmaRegion {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly base: number;
  readonly caches = {
    forDevice: (offset: number, byteLength: number) => this.#sync('to-device', offset, byteLength),
    forCpu: (offset: number, byteLength: number) => this.#sync('from-device', offset, byteLength),
  };

  readonly #buffer: XrtBuffer;
  readonly #mapping: Mapping;

  constructor(
    buffer: XrtBuffer,
    readonly size: number,
    mapping: Mapping,
  ) {
    this.#buffer = buffer;
    this.#mapping = mapping;
    this.base = buffer.physicalAddress;
    this.bytes = mapping.bytes;
    this.words = mapping.words;
  }

  unmap(): void {
    this.#mapping.unmap();
  }

  #sync(direction: 'to-device' | 'from-device', offset: number, byteLength: number): void {
    const error = this.#buffer.sync(direction, byteLength, offset);
    if (error !== 0)
      throw new PynqLlmError(
        'LINUX_XRT_FAILED',
        `xclSyncBO ${direction} of bytes ${offset} to ${offset + byteLength} returned ${error}.`,
        { context: { direction, offset, byteLength, error } },
      );
  }
}
