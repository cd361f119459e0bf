import { harmlessLines } from '../../errors/index.js';

/** Prints lines to standard output; nothing in them may drive the terminal that shows them, now or from a file. */
export function printText(text: string): void {
  process.stdout.write(harmlessLines(text));
}

/** Prints lines to standard error, like `printText`. */
export function noteText(text: string): void {
  process.stderr.write(harmlessLines(text));
}

/** Prints what a model wrote: exactly where a program or a file takes it, like `printText` on a terminal. */
export function printGenerated(text: string): void {
  process.stdout.write(process.stdout.isTTY ? harmlessLines(text) : text);
}
