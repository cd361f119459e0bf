import { fstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
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

/**
 * Whether a shell pipes or redirects something into the program. Standard input of other programs' children is often a
 * socket that nobody writes to: that is read where `-` asks for it.
 */
export function isPipedInto(): boolean {
  try {
    const input = fstatSync(STANDARD_INPUT);
    return input.isFIFO() || input.isFile();
  } catch {
    // It may be closed.
    return false;
  }
}

/** The text that is piped in, without the line break at its end; undefined where there is none. */
export function pipedText(): string | undefined {
  if (!isPipedInto()) return undefined;
  const text = withoutLastBreak(readFile('-'));
  return text === '' ? undefined : text;
}

/** Editors and `echo` end a file with a line break that nobody means as part of the text. */
export function withoutLastBreak(text: Buffer): string {
  return text.toString('utf8').replace(/\r?\n$/, '');
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

/** Names of files that begin so; folders end with a slash. */
export function filesBeginning(path: string): string[] {
  const folder = path.slice(0, path.lastIndexOf('/') + 1);
  try {
    return readdirSync(folder || '.', { withFileTypes: true })
      .map((entry) => `${folder}${entry.name}${entry.isDirectory() ? '/' : ''}`)
      .filter((name) => name.startsWith(path))
      .toSorted();
  } catch {
    // A folder that is not there has no files.
    return [];
  }
}

function systemReason(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
