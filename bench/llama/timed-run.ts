import { cpuMs } from '../cpu-time.js';

/** What a process that decodes is started with, as one JSON argument. */
export interface RunTask {
  readonly file: string;
  readonly promptTokens: number;
  readonly newTokens: number;
  /** Of llama.cpp's process: the module to import, as a URL. */
  readonly module?: string | undefined;
}

/** Milliseconds of CPU time, and as they passed. */
export interface Milliseconds {
  readonly cpu: number;
  readonly elapsed: number;
}

export interface TimedRun {
  readonly prefill: Milliseconds;
  readonly decode: Milliseconds;
}

/** A prompt and tokens after it; each call is one run from an empty context. */
export interface Decoding {
  /** Takes in the prompt, up to the logits of its last token. */
  prefill(prompt: readonly number[]): void | Promise<void>;
  /** Feeds the likeliest token, up to the logits after it and their likeliest one. */
  decode(): void | Promise<void>;
}

/** Tokens that every vocabulary of a size worth measuring has. */
export function promptOf({ promptTokens }: RunTask): number[] {
  return Array.from({ length: promptTokens }, (_, i) => 300 + ((7 * i) % 1000));
}

/** Answers every message of the parent with a run, and ends with it. */
export function serveRuns(task: RunTask, decoding: Decoding): void {
  process.on('message', async () => {
    const prefill = await timed(() => decoding.prefill(promptOf(task)));
    const decode = await timed(async () => {
      for (let token = 0; token < task.newTokens; token++) await decoding.decode();
    });
    process.send?.({ prefill, decode } satisfies TimedRun);
  });
  process.on('disconnect', () => process.exit(0));
  process.send?.('ready');
}

async function timed(work: () => void | Promise<void>): Promise<Milliseconds> {
  const started = performance.now();
  const before = cpuMs();
  await work();
  return { cpu: cpuMs() - before, elapsed: performance.now() - started };
}
