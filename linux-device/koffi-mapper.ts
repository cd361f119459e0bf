import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { PynqLlmError } from '../errors/index.js';
import { loadLibc } from './koffi-libc.js';
import { errnoName, loadKoffi } from './koffi-library.js';
import type { Mapper, Mapping, MapRequest } from './mapper.js';
import { DEV_MEM, hex, openFailed } from './system-files.js';

const PROT_READ_WRITE = 0x1 | 0x2;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;

interface Place {
  readonly address: bigint;
  readonly length: number;
}

/** Gives the address range back once nothing refers to the views any more. */
const abandoned = new FinalizationRegistry<Place>(({ address, length }) =>
  loadLibc().munmap(address, length),
);

/** Maps device nodes and files of this machine through the C library. */
export class KoffiMapper implements Mapper {
  get pageSize(): number {
    return loadLibc().getpagesize();
  }

  map(request: MapRequest): Mapping {
    const { path, offset, length, cached } = request;
    const flags = constants.O_RDWR | (cached ? 0 : constants.O_SYNC);
    let fd: number;
    try {
      fd = openSync(path, flags);
    } catch (cause) {
      throw openFailed(path, cause);
    }
    try {
      // Beyond the end of a file an access raises SIGBUS, which nothing can catch. Device nodes check in mmap.
      const file = fstatSync(fd);
      if (file.isFile() && offset + length > file.size)
        throw mapFailed(request, `the file has only ${file.size} bytes`);
      return mapDescriptor(fd, request).mapping;
    } finally {
      closeSync(fd);
    }
  }
}

/**
 * Maps what a descriptor refers to; it may be closed afterwards.
 * @param request `path` is for errors only
 * @throws PynqLlmError LINUX_MAP_FAILED
 */
export function mapDescriptor(fd: number, request: MapRequest): { mapping: Mapping; address: bigint } {
  const { offset, length } = request;
  const address = loadLibc().mmap64(null, length, PROT_READ_WRITE, MAP_SHARED, fd, offset);
  if (isMapFailed(address)) throw mapFailed(request, errnoName(loadKoffi().errno()));
  return { mapping: mappingAt({ address, length }), address };
}

/** MAP_FAILED is (void *) -1: all ones in 32 or 64 bits. */
function isMapFailed(address: bigint): boolean {
  return address === 0xffff_ffff_ffff_ffffn || address === 0xffff_ffffn;
}

/** Views of memory that was mapped at an address; `unmap` takes the device away from behind them. */
export function mappingAt(place: Place): Mapping {
  const memory = loadKoffi().view(place.address, place.length);
  let mapped = true;
  return {
    words: new Int32Array(memory, 0, Math.floor(place.length / 4)),
    bytes: new Uint8Array(memory),
    unmap: () => {
      if (!mapped) return;
      mapped = false;
      coverWithZeros(place);
      abandoned.register(memory, place);
    },
  };
}

/**
 * Views cannot be taken back from whoever holds them, and an access after munmap would kill the process. So anonymous
 * memory takes the place of the device's in one step (mmap(2), MAP_FIXED); untouched, it costs only addresses.
 */
function coverWithZeros({ address, length }: Place): void {
  loadLibc().mmap64(address, length, PROT_READ_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
}

function mapFailed({ path, offset, length }: MapRequest, errno: string): PynqLlmError {
  const why =
    path === DEV_MEM && errno === 'EPERM'
      ? 'EPERM (this kernel gives /dev/mem no RAM: reserve it with no-map, or use a UIO node)'
      : errno;
  return new PynqLlmError(
    'LINUX_MAP_FAILED',
    `${length} bytes at ${hex(offset)} of ${path} cannot be mapped: ${why}.`,
    { context: { path, offset, length, why } },
  );
}
