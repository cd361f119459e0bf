import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';

/** Whether util-linux's `script` is here, which runs a program on a terminal of its own. */
export const hasPty = /util-linux/.test(
  spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout ?? '',
);

/** A program that somebody sits in front of. */
export interface PtyProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  /** All that the terminal got so far. */
  readonly output: string;
  type(text: string): void;
  /**
   * Ctrl-C again and again, as two that are read at once count as one, until it has ended.
   * @returns its exit status
   * @throws Error with the output, after 25 s: after 30 the SDK gives up a silent agent by itself
   */
  interrupt(): Promise<number | null>;
  /** Waits until the terminal got this after what was seen before. @throws Error with the output, after 30 s */
  see(text: string): Promise<void>;
  /** Its exit status. */
  readonly ended: Promise<number | null>;
}

/** Runs `pynq-llm` on a terminal of so many columns and rows. */
export function ptyCli(
  args: readonly string[],
  { home, columns = 100, rows = 30 }: { home: string; columns?: number; rows?: number },
): PtyProcess {
  const quoted = [process.execPath, resolve('dist/cli/main.js'), ...args]
    .map((word) => `'${word}'`)
    .join(' ');
  const command = `stty cols ${columns} rows ${rows}; exec ${quoted}`;
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    env: { PATH: process.env.PATH, TERM: 'xterm', HOME: home, PYNQ_LLM_HOME: home, SHELL: '/bin/sh' },
    stdio: 'pipe',
  });
  let output = '';
  let seen = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  // What is typed when it has just ended.
  child.stdin.on('error', () => {});
  const ended = once(child, 'close').then(([status]): number | null => status);
  return {
    child,
    get output() {
      return output;
    },
    type: (text) => void child.stdin.write(text),
    async interrupt() {
      for (let i = 0; i < 50; i++) {
        child.stdin.write('\x03');
        await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 500))]);
        if (child.exitCode !== null) return await ended;
      }
      throw new Error(`does not end on Ctrl-C:\n${output}`);
    },
    async see(text) {
      const deadline = performance.now() + 30_000;
      for (;;) {
        const at = output.indexOf(text, seen);
        if (at >= 0) {
          seen = at + text.length;
          return;
        }
        if (performance.now() > deadline)
          throw new Error(`no ${JSON.stringify(text)} in:\n${output.slice(seen)}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    ended,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null) child.kill();
      await ended;
    },
  };
}
