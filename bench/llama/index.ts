import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type BenchOptions, type BenchRow, median } from '../row.js';
import { SMALL, syntheticModel, TINY_LLAMA_Q3_K_S } from '../synthetic-model.js';
import type { RunTask, TimedRun } from './timed-run.js';

const PACKAGE = 'node-llama-cpp';
const LOAD_MS = 600_000;
const RUN_MS = 600_000;

/**
 * Prefill and decoding on the mock beside llama.cpp with the same file, one thread each: runs in pairs, in turn first, and the
 * median of the pairs' ratios: of CPU time, which other work on the machine changes little, and of the time elapsed. Without npm's
 * node-llama-cpp, in the folder that this is run in or beside this package, there is nothing to compare with.
 */
export async function benchLlama({ quick, onNote }: BenchOptions): Promise<BenchRow[]> {
  const module = findLlamaCpp();
  if (module === undefined) {
    onNote(`llama is skipped: ${PACKAGE} is not installed (npm install --no-save ${PACKAGE})`);
    return [];
  }
  onNote('llama: the mock beside llama.cpp');
  const task: RunTask = quick
    ? { file: syntheticModel(SMALL), promptTokens: 16, newTokens: 8, module }
    : { file: syntheticModel(TINY_LLAMA_Q3_K_S), promptTokens: 64, newTokens: 24, module };
  await using mock = await TimedProcess.start('./mock-child.js', task);
  await using llama = await TimedProcess.start('./llama-child.js', task);
  const pairs: { readonly mock: TimedRun; readonly llama: TimedRun }[] = [];
  // The first pair is for V8 to compile, and for the file to be in memory.
  for (let pair = 0; pair <= (quick ? 3 : 5); pair++) {
    const first = pair % 2 === 0 ? await mock.run() : await llama.run();
    const second = pair % 2 === 0 ? await llama.run() : await mock.run();
    if (pair > 0)
      pairs.push(pair % 2 === 0 ? { mock: first, llama: second } : { mock: second, llama: first });
  }
  const rowsOf = (name: 'prefill' | 'decode', tokens: number): BenchRow[] =>
    (['cpu', 'elapsed'] as const).map((time) => {
      const speed = (runs: readonly TimedRun[]) =>
        median(runs.map((run) => (1000 * tokens) / run[name][time]));
      return {
        name: `${name}, mock beside llama.cpp`,
        value: speed(pairs.map((pair) => pair.mock)),
        unit: time === 'cpu' ? 'tokens/s of CPU time' : 'tokens/s',
        baseline: speed(pairs.map((pair) => pair.llama)),
        ratio: median(pairs.map((pair) => pair.llama[name][time] / pair.mock[name][time])),
      };
    });
  return [...rowsOf('prefill', task.promptTokens), ...rowsOf('decode', task.newTokens)];
}

/** The module's URL. */
function findLlamaCpp(): string | undefined {
  for (const from of [pathToFileURL(join(process.cwd(), 'package.json')), import.meta.url]) {
    const folders = createRequire(from).resolve.paths(PACKAGE) ?? [];
    for (const folder of folders) {
      try {
        // It has no entry for require(), but its package.json says where the module is.
        const required = createRequire(from)(join(folder, PACKAGE, 'package.json')) as {
          readonly main?: string;
        };
        return pathToFileURL(join(folder, PACKAGE, required.main ?? 'dist/index.js')).href;
      } catch {
        // The next folder up.
      }
    }
  }
  return undefined;
}

class TimedProcess {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(script: string, task: RunTask): Promise<TimedProcess> {
    const path = fileURLToPath(new URL(script, import.meta.url));
    const started = new TimedProcess(
      fork(path, [JSON.stringify(task)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }),
    );
    await started.#answer(LOAD_MS);
    return started;
  }

  async run(): Promise<TimedRun> {
    this.#child.send('run');
    return (await this.#answer(RUN_MS)) as TimedRun;
  }

  /** Its next message. @throws Error where it ends instead, or says nothing for so long */
  async #answer(timeoutMs: number): Promise<unknown> {
    const signal = AbortSignal.timeout(timeoutMs);
    const ended = once(this.#child, 'exit', { signal }).then(([status]) => {
      throw new Error(`a process of the comparison ended with ${status}`);
    });
    const [message] = await Promise.race([once(this.#child, 'message', { signal }), ended]);
    return message;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.kill();
    await once(this.#child, 'exit');
  }
}
