import { harmless, isPynqLlmError } from '../../errors/index.js';
import type { BoardClient } from '../../sdk/index.js';
import { EXIT, exitCodeOf, reportError } from '../exit.js';
import { noteText, printText } from '../output/print.js';
import type { ProgressStream } from '../output/progress.js';
import { connectBoard, withInterrupt } from '../session.js';
import type { ChosenBoard } from './devices.js';

/** How the work on one board ended. */
export type Outcome<T> =
  | { readonly board: ChosenBoard; readonly value: T }
  | { readonly board: ChosenBoard; readonly error: unknown };

/**
 * Works on all boards at once. What fails on one is told at once with its name and holds up no other; the process ends with the status
 * of the worst.
 * @throws PynqLlmError CLI_INTERRUPTED after Ctrl-C
 */
export function onBoards<T>(
  boards: readonly ChosenBoard[],
  run: (board: ChosenBoard, signal: AbortSignal) => Promise<T>,
): Promise<Outcome<T>[]> {
  return withInterrupt(async (signal) => {
    const outcomes = await Promise.all(
      boards.map(async (board): Promise<Outcome<T>> => {
        try {
          return { board, value: await run(board, signal) };
        } catch (error) {
          if (!signal.aborted) {
            reportError(error, board.name);
            worsen(exitCodeOf(error));
          }
          return { board, error };
        }
      }),
    );
    signal.throwIfAborted();
    return outcomes;
  });
}

/** The process ends with this status, unless something worse happened. */
export function worsen(status: number = EXIT.failed): void {
  process.exitCode = Math.max(Number(process.exitCode ?? EXIT.ok), status);
}

/** By the boards' names: what each gave, or `{"error"}`. */
export function outcomesByName<T>(
  outcomes: readonly Outcome<T>[],
  show: (value: T) => unknown = (value) => value,
) {
  const entries = outcomes.map((outcome): [string, unknown] => [
    outcome.board.name,
    'value' in outcome ? show(outcome.value) : { error: errorForPrograms(outcome.error) },
  ]);
  return Object.fromEntries(entries);
}

/** What a program learns of an error. */
export function errorForPrograms(error: unknown): { readonly code: string | null; readonly message: string } {
  const message = error instanceof Error ? error.message : String(error);
  return { code: isPynqLlmError(error) ? error.code : null, message };
}

/** Prints text that comes in pieces as whole lines, each with the board's name before it. */
export class PrefixedLines {
  readonly #prefix: string;
  readonly #write: (text: string) => void;
  #partial = '';

  /** @param width of the longest name @param toErrors whether it is no result */
  constructor(name: string, width: number, toErrors = false) {
    this.#prefix = `${harmless(name).padEnd(width)} | `;
    this.#write = toErrors ? noteText : printText;
  }

  write(text: string): void {
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop()!;
    if (lines.length > 0) this.#write(lines.map((line) => `${this.#prefix}${line}\n`).join(''));
  }

  /** For progress: no terminal, which would be drawn on by all at once. */
  get stream(): ProgressStream {
    return { isTTY: false, write: (text) => this.write(text) };
  }

  /** Prints what has no end yet. */
  end(): void {
    if (this.#partial !== '') this.write('\n');
  }
}

/** Of the longest name. */
export function nameWidth(boards: readonly ChosenBoard[]): number {
  return Math.max(...boards.map(({ name }) => harmless(name).length));
}

/** Connects to one of several boards, works there, and closes. @param timeoutMs as of `connect` */
export async function onBoard<T>(
  board: ChosenBoard,
  signal: AbortSignal,
  run: (client: BoardClient) => Promise<T>,
  timeoutMs?: number,
): Promise<T> {
  await using client = await connectBoard(board, signal, { name: board.name, timeoutMs });
  return await run(client);
}

/**
 * Works on the boards and prints a line of each; of several with their names before them.
 * @param run gets where progress goes, on several boards
 */
export async function eachBoard(
  boards: readonly ChosenBoard[],
  several: boolean,
  run: (client: BoardClient, signal: AbortSignal, lines: PrefixedLines | undefined) => Promise<string>,
): Promise<void> {
  if (!several) {
    await withInterrupt(async (signal) => {
      await using client = await connectBoard(boards[0]!, signal);
      printText(`${await run(client, signal, undefined)}\n`);
    });
    return;
  }
  const width = nameWidth(boards);
  await onBoards(boards, (board, signal) =>
    onBoard(board, signal, async (client) => {
      const text = await run(client, signal, new PrefixedLines(board.name, width, true));
      new PrefixedLines(board.name, width).write(`${text}\n`);
    }),
  );
}
