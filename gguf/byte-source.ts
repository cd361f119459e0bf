import * as nodeFs from 'node:fs';
import { PynqLlmError } from '../errors/index.js';

/** Random access to bytes of a known number: a file, memory, or whatever holds a model. */
export interface ByteSource {
  /** Bytes. */
  readonly size: number;
  /**
   * Fills `into` with the bytes from `offset` on.
   * @throws PynqLlmError GGUF_BAD_RANGE beyond the end; GGUF_READ_FAILED where the medium fails
   */
  readInto(offset: number, into: Uint8Array): void;
}

/** A source that holds a file descriptor until it is closed. */
export interface FileSource extends ByteSource {
  /** Gives the descriptor back; reads fail from then on. Idempotent. */
  close(): void;
  [Symbol.dispose](): void;
}

/** What `fileSource` needs of `node:fs`; memfs has it too. */
export interface FileSystem {
  openSync(path: string, flags: string): number;
  fstatSync(descriptor: number): { readonly size: number; isFile(): boolean };
  readSync(descriptor: number, into: Uint8Array, offset: number, length: number, position: number): number;
  closeSync(descriptor: number): void;
}

/**
 * A regular file as a source. Its size is taken once, at opening.
 * @throws PynqLlmError GGUF_READ_FAILED
 */
export function fileSource(path: string, fs: FileSystem = nodeFs): FileSource {
  const descriptor = system(path, () => fs.openSync(path, 'r'));
  let open = true;
  const close = (): void => {
    if (open) fs.closeSync(descriptor);
    open = false;
  };
  try {
    const status = system(path, () => fs.fstatSync(descriptor));
    if (!status.isFile())
      throw new PynqLlmError('GGUF_READ_FAILED', `${path} is not a regular file.`, { context: { path } });
    const { size } = status;
    const readInto = (offset: number, into: Uint8Array): void => {
      checkRange(size, offset, into.length);
      if (!open)
        throw new PynqLlmError('GGUF_READ_FAILED', `${path} has been closed.`, { context: { path } });
      for (let done = 0; done < into.length; ) {
        const count = system(path, () =>
          fs.readSync(descriptor, into, done, into.length - done, offset + done),
        );
        if (count === 0) {
          throw new PynqLlmError(
            'GGUF_READ_FAILED',
            `${path} has shrunk since it was opened with ${size} bytes.`,
            {
              context: { path, offset: offset + done, size },
            },
          );
        }
        done += count;
      }
    };
    return { size, readInto, close, [Symbol.dispose]: close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Bytes in memory as a source; they are not copied. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    readInto(offset, into) {
      checkRange(bytes.length, offset, into.length);
      into.set(bytes.subarray(offset, offset + into.length));
    },
  };
}

/** @throws PynqLlmError GGUF_BAD_RANGE */
export function checkRange(size: number, offset: number, length: number): void {
  if (Number.isSafeInteger(offset) && offset >= 0 && offset + length <= size) return;
  throw new PynqLlmError(
    'GGUF_BAD_RANGE',
    `${length} bytes at ${offset} were asked of a source of ${size} bytes.`,
    {
      context: { offset, length, size },
    },
  );
}

function system<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PynqLlmError('GGUF_READ_FAILED', `${path}: ${reason}.`, { context: { path }, cause });
  }
}
