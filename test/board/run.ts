import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface RunOptions {
  readonly timeoutMs: number;
  readonly input?: string;
}

/** Runs a command to its end and returns its standard output; its last words are in the error if it fails. */
export async function run(command: string, args: readonly string[], options: RunOptions): Promise<string> {
  const child = spawn(command, args, { stdio: 'pipe', timeout: options.timeoutMs });
  let stdout = '';
  let words = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    words = (words + text).slice(-4_000);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-4_000);
  });
  child.stdin.end(options.input);
  const [status, signal] = await once(child, 'close');
  if (status !== 0)
    throw new Error(`${command} ${args.join(' ')}: ${signal ?? `status ${status}`}\n${words}`);
  return stdout;
}
