import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';

const MAIN = resolve('dist/cli/main.js');

/** How a run of the command line ended. */
export interface CliResult {
  /** Exit status; null if a signal ended the process. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly milliseconds: number;
}

export interface CliOptions {
  /** Where models are stored. */
  readonly home: string;
  readonly env?: Readonly<Record<string, string>>;
  /** All of standard input; it is empty unless given. */
  readonly input?: string;
  /** `dist/cli/main.js` of another installation. */
  readonly main?: string;
  /** The start of a command line that runs the program, in a control group for instance. */
  readonly within?: readonly string[];
  /** Node.js for another processor, with what emulates it and flags; this one's unless given. */
  readonly node?: readonly string[];
  /** After so long it is ended. */
  readonly timeoutMs?: number;
  /** Called once, with the first bytes on standard output. */
  readonly onOutput?: (child: ChildProcess) => void;
  /** Called with what comes on standard error. */
  readonly onError?: (text: string, child: ChildProcess) => void;
}

/** Runs `pynq-llm` as a process of its own and waits for its end. */
export async function cli(args: readonly string[], options: CliOptions): Promise<CliResult> {
  const started = performance.now();
  const child = spawnCli(args, options);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (stdout === '') options.onOutput?.(child);
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    options.onError?.(text, child);
  });
  child.stdin.end(options.input);
  const [status] = await once(child, 'close');
  return { status, stdout, stderr, milliseconds: performance.now() - started };
}

/** The objects of a JSON Lines output. */
export function jsonLines<T>({ stdout }: CliResult): T[] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line): T => JSON.parse(line));
}

/** An agent, or another server, in a process of its own. */
export interface AgentProcess extends AsyncDisposable {
  /** What it printed when it was ready. */
  readonly url: string;
  readonly child: ChildProcess;
  /** What it said on standard error so far. */
  readonly log: () => string;
}

/** Starts `pynq-llm agent` and waits until it listens. */
export async function cliAgent(
  home: string,
  device = 'mock:',
  more: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<AgentProcess> {
  const listen = ['--listen', 'ws://127.0.0.1:0', '--log-level', 'silent'];
  return cliServer(['agent', '--device', device, ...listen, ...more], { home, env });
}

/** Starts a command that serves, and waits until it says where. */
export async function cliServer(args: readonly string[], options: CliOptions): Promise<AgentProcess> {
  const child = spawnCli(args, options);
  let words = '';
  child.stderr.on('data', (text: Buffer) => {
    words += text.toString();
  });
  const ended = once(child, 'close').then(([status]) => {
    throw new Error(`pynq-llm ${args[0]} ended with status ${status}: ${words}`);
  });
  const [line] = await Promise.race([once(child.stdout, 'data'), ended]);
  ended.catch(() => {});
  return {
    url: String(line).trim(),
    child,
    log: () => words,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exit = once(child, 'exit');
      child.kill();
      await exit;
    },
  };
}

/** Own process group: what a run leaves behind can be found by it. */
function spawnCli(args: readonly string[], options: CliOptions) {
  const { home, env, main = MAIN, within = [], node = [process.execPath], timeoutMs } = options;
  const [program, ...first] = [...within, ...node];
  return spawn(program, [...first, main, ...args], {
    env: { PATH: process.env.PATH, HOME: home, PYNQ_LLM_HOME: home, ...env },
    stdio: 'pipe',
    detached: true,
    ...(timeoutMs !== undefined && { timeout: timeoutMs }),
  });
}
