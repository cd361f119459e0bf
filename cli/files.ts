import { readFileSync, writeFileSync } from 'node:fs';
import { PynqLlmError } from '../errors/index.js';

const STANDARD_INPUT = 0;

/** A file named on the command line; `-` is standard input, to its end. @throws PynqLlmError CLI_FILE_UNREADABLE */
export function readFile(path: string): Buffer {
  try {
    return readFileSync(path === '-' ? STANDARD_INPUT : path);
  } catch (cause) {
    throw new PynqLlmError('CLI_FILE_UNREADABLE', `${path} cannot be read: ${systemReason(cause)}.`, {
      cause,
    });
  }
}

/** @throws PynqLlmError CLI_FILE_UNWRITABLE */
export function writeFile(path: string, data: Uint8Array | string): void {
  try {
    writeFileSync(path, data);
  } catch (cause) {
    throw new PynqLlmError('CLI_FILE_UNWRITABLE', `${path} cannot be written: ${systemReason(cause)}.`, {
      cause,
    });
  }
}

function systemReason(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
