import { constants, fstatSync, openSync, write } from 'node:fs';

/** Takes the bytes of a log, one piece at a time. */
export interface LogOutput {
  /** Never blocks. @param done told how many bytes were written, and what kept the rest from it */
  write(bytes: Uint8Array, done: (written: number, error: NodeJS.ErrnoException | null) => void): void;
}

/**
 * Standard error as a log: a reader that does not read, or a terminal that is held, must not stop the event loop.
 *
 * Node writes to pipes and sockets asynchronously, so its own stream serves; two streams of one descriptor would get into
 * each other's way. To a terminal it writes until that takes everything: that is opened once more, not to block. Files are
 * written by a thread.
 */
export function standardError(): LogOutput {
  const stats = fstatSync(2);
  if (stats.isFIFO() || stats.isSocket()) return streamOutput(process.stderr);
  if (!process.stderr.isTTY) return fileOutput(2);
  try {
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
    return fileOutput(openSync('/dev/stderr', O_WRONLY | O_NONBLOCK | O_NOCTTY));
  } catch {
    return fileOutput(2);
  }
}

function streamOutput(stream: NodeJS.WriteStream): LogOutput {
  return {
    write: (bytes, done) => {
      stream.write(bytes, (error) => done(error ? 0 : bytes.length, error ?? null));
    },
  };
}

/** @param file number of an open file */
export function fileOutput(file: number): LogOutput {
  return {
    write: (bytes, done) => {
      write(file, bytes, 0, bytes.length, null, (error, written) =>
        done(error === null ? written : 0, error),
      );
    },
  };
}
