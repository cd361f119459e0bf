import { access, mkdir, readdir, readFile, rename, rmdir, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { PynqLlmError } from '../../errors/index.js';

/** The part of node:fs/promises that makes a board ready: injected, so that memfs can play any board. */
export interface SystemFiles {
  readonly access: (path: string) => Promise<void>;
  readonly mkdir: (path: string, options?: { recursive: true }) => Promise<unknown>;
  readonly readFile: (path: string) => Promise<Uint8Array>;
  readonly readdir: (path: string) => Promise<string[]>;
  readonly rename: (from: string, to: string) => Promise<void>;
  readonly rmdir: (path: string) => Promise<void>;
  readonly writeFile: (path: string, data: Uint8Array | string) => Promise<void>;
}

/** The files of this machine. */
export const SYSTEM_FILES: SystemFiles = { access, mkdir, readFile, readdir, rename, rmdir, writeFile };

/** Time, injected so that a test needs none. */
export interface Clock {
  /** Milliseconds since an arbitrary start. */
  now(): number;
  /** Ends early, without an error, when the signal aborts. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  sleep: (milliseconds, signal) =>
    delay(milliseconds, undefined, signal && { signal }).catch(() => undefined),
};

export async function exists(files: SystemFiles, path: string): Promise<boolean> {
  return files.access(path).then(
    () => true,
    () => false,
  );
}

/** A sysfs attribute without its line break. @throws PynqLlmError FIRMWARE_FILE_FAILED */
export async function readAttribute(files: SystemFiles, path: string): Promise<string> {
  try {
    return new TextDecoder().decode(await files.readFile(path)).trim();
  } catch (cause) {
    throw fileFailed(path, 'read', cause);
  }
}

/** @throws PynqLlmError FIRMWARE_FILE_FAILED */
export async function writeSystemFile(
  files: SystemFiles,
  path: string,
  data: Uint8Array | string,
): Promise<void> {
  try {
    await files.writeFile(path, data);
  } catch (cause) {
    throw fileFailed(path, 'written', cause);
  }
}

/** `promise`, or undefined after the deadline: a write into the kernel cannot be called back, only given up. */
export async function withDeadline<T>(
  promise: Promise<T>,
  milliseconds: number,
  clock: Clock,
): Promise<{ readonly value: T } | undefined> {
  const done = new AbortController();
  try {
    return await Promise.race([
      promise.then((value) => ({ value })),
      clock.sleep(milliseconds, done.signal).then(() => undefined),
    ]);
  } finally {
    // A timer left behind would keep the process alive.
    done.abort();
  }
}

export function fileFailed(path: string, done: 'read' | 'written' | 'made', cause: unknown): PynqLlmError {
  return new PynqLlmError('FIRMWARE_FILE_FAILED', `${path} cannot be ${done}: ${reasonOf(cause)}.`, {
    context: { path },
    cause,
  });
}

export function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
