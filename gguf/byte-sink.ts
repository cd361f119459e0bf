import * as nodeFs from 'node:fs';
import { PynqLlmError } from '../errors/index.js';

/** Takes bytes in order. The caller may reuse `bytes` as soon as `write` has returned. */
export interface ByteSink {
  write(bytes: Uint8Array): void;
}

/** A sink that holds a file descriptor until it is closed. */
export interface FileSink extends ByteSink {
  close(): void;
  [Symbol.dispose](): void;
}

/** What `fileSink` needs of `node:fs`; memfs has it too. */
export interface WritableFileSystem {
  openSync(path: string, flags: string): number;
  writeSync(descriptor: number, bytes: Uint8Array, offset: number, length: number): number;
  closeSync(descriptor: number): void;
}

/**
 * A file to write from its beginning; what was there is lost.
 * @throws PynqLlmError GGUF_WRITE_FAILED, also for a full disk
 */
export function fileSink(path: string, fs: WritableFileSystem = nodeFs): FileSink {
  const descriptor = system(path, () => fs.openSync(path, 'w'));
  let open = true;
  const close = (): void => {
    if (!open) return;
    open = false;
    system(path, () => fs.closeSync(descriptor));
  };
  return {
    write(bytes) {
      for (let done = 0; done < bytes.length; ) {
        done += system(path, () => fs.writeSync(descriptor, bytes, done, bytes.length - done));
      }
    },
    close,
    [Symbol.dispose]: close,
  };
}

function system<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PynqLlmError('GGUF_WRITE_FAILED', `${path}: ${reason}.`, { context: { path }, cause });
  }
}
