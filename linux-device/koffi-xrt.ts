import { PynqLlmError } from '../errors/index.js';
import { loadKoffi } from './koffi-library.js';
import { mappingAt } from './koffi-mapper.js';
import type { Mapping } from './mapper.js';
import type { XrtBuffer, XrtDevice, XrtLibrary } from './xrt.js';

const NULL_BUFFER = 0xffff_ffff;
const QUIET = 0;
/** struct xclBOProperties: handle and flags (u32), size and paddr (u64), a reserved int, padded to 8 bytes. */
const PROPERTIES_BYTES = 32;
const PADDR_OFFSET = 16;

/** The functions used of libxrt_core. A device handle is an address, a buffer handle a number. */
interface Calls {
  open(index: number, log: string | null, verbosity: number): bigint | null;
  close(device: bigint): void;
  alloc(device: bigint, size: number, unused: number, flags: number): number;
  free(device: bigint, buffer: number): void;
  map(device: bigint, buffer: number, write: boolean): bigint | null;
  sync(device: bigint, buffer: number, direction: number, size: number, offset: number): number;
  properties(device: bigint, buffer: number, into: Uint8Array): number;
}

/**
 * Loads the library of the Xilinx runtime.
 * @throws PynqLlmError LINUX_KOFFI_MISSING, LINUX_XRT_FAILED
 */
export function loadXrt(path: string): XrtLibrary {
  const calls = bind(path);
  return {
    open: (index) => {
      const device = calls.open(index, null, QUIET);
      return device === null ? undefined : new KoffiXrtDevice(calls, device);
    },
  };
}

function bind(path: string): Calls {
  const koffi = loadKoffi();
  try {
    const library = koffi.load(path);
    return {
      open: library.func('void *xclOpen(unsigned int index, const char *log, int verbosity)'),
      close: library.func('void xclClose(void *device)'),
      alloc: library.func(
        'unsigned int xclAllocBO(void *device, size_t size, int unused, unsigned int flags)',
      ),
      free: library.func('void xclFreeBO(void *device, unsigned int buffer)'),
      map: library.func('void *xclMapBO(void *device, unsigned int buffer, bool write)'),
      sync: library.func(
        'int xclSyncBO(void *device, unsigned int buffer, int direction, size_t size, size_t offset)',
      ),
      properties: library.func(
        'int xclGetBOProperties(void *device, unsigned int buffer, _Out_ uint8_t *properties)',
      ),
    };
  } catch (cause) {
    throw new PynqLlmError(
      'LINUX_XRT_FAILED',
      `${path} cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}.`,
      { context: { library: path }, cause },
    );
  }
}

class KoffiXrtDevice implements XrtDevice {
  readonly #calls: Calls;
  readonly #handle: bigint;

  constructor(calls: Calls, handle: bigint) {
    this.#calls = calls;
    this.#handle = handle;
  }

  allocate(size: number, flags: number): XrtBuffer | undefined {
    const buffer = this.#calls.alloc(this.#handle, size, 0, flags);
    return buffer === NULL_BUFFER ? undefined : new KoffiXrtBuffer(this.#calls, this.#handle, buffer, size);
  }

  close(): void {
    this.#calls.close(this.#handle);
  }
}

class KoffiXrtBuffer implements XrtBuffer {
  readonly #calls: Calls;
  readonly #device: bigint;
  readonly #handle: number;
  readonly #size: number;

  constructor(calls: Calls, device: bigint, handle: number, size: number) {
    this.#calls = calls;
    this.#device = device;
    this.#handle = handle;
    this.#size = size;
  }

  get physicalAddress(): number {
    const properties = Buffer.alloc(PROPERTIES_BYTES);
    const error = this.#calls.properties(this.#device, this.#handle, properties);
    if (error !== 0)
      throw new PynqLlmError('LINUX_XRT_FAILED', `xclGetBOProperties returned ${error}.`, {
        context: { error },
      });
    return Number(properties.readBigUInt64LE(PADDR_OFFSET));
  }

  /** Taken back as every mapping is; xclUnmapBO would leave a hole where views may still point. */
  map(): Mapping {
    const address = this.#calls.map(this.#device, this.#handle, true);
    if (address === null)
      throw new PynqLlmError('LINUX_XRT_FAILED', `xclMapBO mapped nothing of ${this.#size} bytes.`, {
        context: { size: this.#size },
      });
    return mappingAt({ address, length: this.#size });
  }

  sync(direction: 'to-device' | 'from-device', size: number, offset: number): number {
    return this.#calls.sync(this.#device, this.#handle, direction === 'to-device' ? 0 : 1, size, offset);
  }

  free(): void {
    this.#calls.free(this.#device, this.#handle);
  }
}
