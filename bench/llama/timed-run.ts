/** What a process that decodes is started with, as one JSON argument. */
export interface RunTask {
  readonly file: string;
  readonly promptTokens: number;
  readonly newTokens: number;
  /** Of llama.cpp's process: the module to import, as a URL. */
  readonly module?: string | undefined;
}

/**
 * Milliseconds of the process's CPU time, all threads together. With one thread at work that is the time on an idle machine,
 * and other work on this one does not count.
 */
export interface TimedRun {
  readonly prefillMs: number;
  readonly decodeMs: number;
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
    const begin = cpuMs();
    await decoding.prefill(promptOf(task));
    const between = cpuMs();
    for (let token = 0; token < task.newTokens; token++) await decoding.decode();
    process.send?.({ prefillMs: between - begin, decodeMs: cpuMs() - between } satisfies TimedRun);
  });
  process.on('disconnect', () => process.exit(0));
  process.send?.('ready');
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
