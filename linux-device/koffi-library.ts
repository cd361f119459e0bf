import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';
import { PynqLlmError } from '../errors/index.js';

let koffi: typeof Koffi | undefined;

/**
 * The koffi module, loaded when it is first needed: a laptop that opens no real board works without it.
 * @throws PynqLlmError LINUX_KOFFI_MISSING
 */
export function loadKoffi(): typeof Koffi {
  const require = createRequire(import.meta.url);
  try {
    koffi ??= require('koffi') as typeof Koffi;
    return koffi;
  } catch (cause) {
    throw new PynqLlmError(
      'LINUX_KOFFI_MISSING',
      `koffi cannot be loaded on ${process.platform} ${process.arch}: ${cause instanceof Error ? cause.message.split('\n')[0] : String(cause)}.`,
      { context: { platform: process.platform, architecture: process.arch }, cause },
    );
  }
}

/** `EINVAL` for 22: the name of an error number of the C library. */
export function errnoName(errno: number): string {
  const names = Object.entries(loadKoffi().os.errno);
  return names.find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
}
