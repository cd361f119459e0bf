import { createInterface } from 'node:readline';
import type { History } from './history.js';

/** Where a chat's lines come from. */
export interface LineSource {
  /** The next line, or several that were pasted together; undefined at the end. */
  next(): Promise<string | undefined>;
}

/** Lines of a file or a pipe. */
export function pipedLines(input: NodeJS.ReadableStream): LineSource {
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
  return { next: async () => (await lines.next()).value };
}

/**
 * Lines typed at a terminal, edited by node:readline. The editor lives only while it asks: in between the terminal is as
 * usual, so that Ctrl-C is a signal.
 *
 * @param completer what Tab makes of the line
 * @param onInterrupt Ctrl-C on an empty line; on any other it clears the line
 */
export function typedLines(
  prompt: string,
  history: History,
  onInterrupt: () => void,
  completer: (line: string) => [string[], string],
): LineSource {
  const { stdin: input, stdout: output } = process;
  return {
    next: () =>
      new Promise((resolve) => {
        const lines = { history: history.lines, prompt, completer };
        const editor = createInterface({ input, output, terminal: true, ...lines });
        const typed: string[] = [];
        editor.on('line', (line) => {
          // What is pasted comes as several lines at once, and is meant as one message.
          if (typed.push(line) === 1) setImmediate(() => editor.close());
        });
        editor.on('SIGINT', () => {
          output.write('\n');
          if (editor.line === '') onInterrupt();
          // To the end, and all before it gone.
          for (const name of ['e', 'u']) editor.write(null, { ctrl: true, name });
          editor.prompt();
        });
        editor.once('close', () => {
          const text = typed.length === 0 ? undefined : typed.join('\n');
          if (text === undefined) output.write('\n');
          else if (text.trim() !== '') history.add(text);
          resolve(text);
        });
        editor.prompt();
      }),
  };
}
