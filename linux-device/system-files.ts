import * as fs from 'node:fs';
import { PynqLlmError } from '../errors/index.js';

/** What the driver asks of a board's file system: a part of node:fs, so that memfs can play any board's. */
export interface SystemFiles {
  existsSync(path: string): boolean;
  readFileSync(path: string, encoding: 'utf8'): string;
  readFileSync(path: string): Uint8Array;
  readdirSync(path: string): string[];
  openSync(path: string, flags: number): number;
  /** @param position null reads where the last read ended, as devices want it */
  readSync(fd: number, into: Uint8Array, offset: number, length: number, position: number | null): number;
  writeSync(fd: number, from: Uint8Array, offset: number, length: number, position: number | null): number;
  closeSync(fd: number): void;
}

/** All physical memory; opened only where the user allows it. */
export const DEV_MEM = '/dev/mem';

/** The file system of this machine. */
export const systemFiles: SystemFiles = fs;

/** The text of a file without the newline at its end; undefined where it cannot be read. */
export function readText(files: SystemFiles, path: string): string | undefined {
  try {
    return files.readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** Names in a directory, sorted with numbers in their order (uio2 before uio10); none where there is no directory. */
export function listDirectory(files: SystemFiles, path: string): string[] {
  try {
    return files
      .readdirSync(path)
      .map(String)
      .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  } catch {
    return [];
  }
}

/**
 * A number that the kernel wrote into a file, in decimal or with 0x in hexadecimal.
 * @throws PynqLlmError LINUX_SYSFS_UNREADABLE
 */
export function readNumber(files: SystemFiles, path: string): number {
  const text = readText(files, path);
  const value = text !== undefined && /^(0[xX][0-9a-fA-F]+|\d+)$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw new PynqLlmError(
    'LINUX_SYSFS_UNREADABLE',
    text === undefined
      ? `${path} cannot be read.`
      : `${path} holds ${JSON.stringify(text.slice(0, 40))}, not a number.`,
    { context: { path } },
  );
}

/** @throws PynqLlmError LINUX_OPEN_FAILED with the reason of the system */
export function openDevice(files: SystemFiles, path: string, flags: number): number {
  try {
    return files.openSync(path, flags);
  } catch (cause) {
    throw openFailed(path, cause);
  }
}

/** What the system says when a device node cannot be opened, and what that usually means. */
export function openFailed(path: string, cause: unknown): PynqLlmError {
  const code = errnoOf(cause);
  const why =
    code === 'EACCES' || code === 'EPERM'
      ? 'permission is denied'
      : code === 'ENOENT'
        ? 'it does not exist'
        : cause instanceof Error
          ? cause.message
          : String(cause);
  return new PynqLlmError('LINUX_OPEN_FAILED', `${path} cannot be opened: ${why} (${code ?? 'no errno'}).`, {
    context: { path, errno: code ?? '' },
    cause,
  });
}

/** The name of a system error, such as `EAGAIN`. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** `0x43c00000`, as device trees and /proc/iomem write addresses. */
export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** `128 MiB`, or KiB or bytes where it is no whole number of them. */
export function sizeText(bytes: number): string {
  if (bytes > 0 && bytes % 2 ** 20 === 0) return `${bytes / 2 ** 20} MiB`;
  return bytes > 0 && bytes % 1024 === 0 ? `${bytes / 1024} KiB` : `${bytes} bytes`;
}
