import { loadKoffi } from './koffi-library.js';

/** What is called of the C library. Addresses are numbers as koffi gives them. */
export interface Libc {
  mmap64(
    address: bigint | null,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ): bigint;
  munmap(address: bigint, length: number): number;
  getpagesize(): number;
  poll(fds: Uint8Array, count: number, timeoutMs: number): number;
  ioctl(fd: number, request: number, argument: Uint8Array): number;
}

let libc: Libc | undefined;

/**
 * The C library. mmap64 takes a 64-bit offset on 32-bit boards too, so addresses above 2 GiB can be mapped there.
 * @throws PynqLlmError LINUX_KOFFI_MISSING
 */
export function loadLibc(): Libc {
  if (libc !== undefined) return libc;
  const library = loadKoffi().load('libc.so.6');
  libc = {
    mmap64: library.func(
      'void *mmap64(void *address, size_t length, int protection, int flags, int fd, int64_t offset)',
    ),
    munmap: library.func('int munmap(void *address, size_t length)'),
    getpagesize: library.func('int getpagesize()'),
    poll: library.func('int poll(_Inout_ uint8_t *fds, unsigned long count, int timeout)'),
    ioctl: library.func('int ioctl(int fd, unsigned long request, _Inout_ uint8_t *argument)'),
  };
  return libc;
}

/** poll(2): a struct pollfd is an int and two shorts; POLLIN is 1. */
const POLLFD_BYTES = 8;
const POLLIN = 1;

/**
 * Sleeps until one of the descriptors can be read, or the time is over. Returns whether one can.
 * @param timeoutMs whole milliseconds
 */
export function waitReadable(fds: readonly number[], timeoutMs: number): boolean {
  const request = Buffer.alloc(fds.length * POLLFD_BYTES);
  for (const [i, fd] of fds.entries()) {
    request.writeInt32LE(fd, i * POLLFD_BYTES);
    request.writeInt16LE(POLLIN, i * POLLFD_BYTES + 4);
  }
  return loadLibc().poll(request, fds.length, timeoutMs) > 0;
}
