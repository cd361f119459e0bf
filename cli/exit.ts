import { harmless, isPynqLlmError } from '../errors/index.js';
import { noteText } from './output/print.js';

/** What the process ends with; documented in docs/cli.md. */
export const EXIT = { ok: 0, failed: 1, usage: 2, mismatch: 3, interrupted: 130 } as const;

/** Bytes of notices that wait for a reader that does not read; more of them are not told. */
const MAX_WAITING_BYTES = 64 * 1024;

/**
 * Prints an error the way every command does: one line for our own errors, the stack for a bug.
 * @param board which it is about, of several
 */
export function reportError(error: unknown, board?: string): void {
  const who = board === undefined ? 'pynq-llm' : `pynq-llm: ${harmless(board)}`;
  if (isPynqLlmError(error)) {
    // Names from outside may hold line breaks and terminal codes; programs count on one line. A budget's table is meant.
    if (error.code.startsWith('LLM_MEMORY_')) noteText(`${who}: ${error.message}\n`);
    else process.stderr.write(`${who}: ${harmless(error.message)}\n`);
    if (process.env.PYNQ_LLM_DEBUG) noteText(`${error.stack}\n${String(error.cause ?? '')}\n`);
    return;
  }
  noteText(
    `${who}: this is a bug, please report it: ${error instanceof Error ? error.stack : String(error)}\n`,
  );
}

/** Tells the user at once what the work does not end with, on a line of its own. */
export function reportNotice(text: string): void {
  if (process.stderr.writableLength > MAX_WAITING_BYTES) return;
  // A progress bar may stand in the line.
  process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[K' : ''}pynq-llm: ${harmless(text)}\n`);
}

/** A daemon goes on when nobody reads its address any more: from now on only its signals end it. */
export function outliveReader(): void {
  process.stdout.removeAllListeners('error');
  process.stdout.on('error', () => {});
}

/** The exit status that an error ends the process with. */
export function exitCodeOf(error: unknown): number {
  if (isPynqLlmError(error, 'CLI_INTERRUPTED')) return EXIT.interrupted;
  return isPynqLlmError(error, 'CLI_BAD_ARGUMENT') ? EXIT.usage : EXIT.failed;
}
