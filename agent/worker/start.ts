import { Worker, type WorkerOptions } from 'node:worker_threads';

/**
 * Flags of the process's command line are not for its threads: `--input-type=module -e …` would end them, as they run files. What
 * concerns memory, such as `--max-old-space-size`, V8 applies to every thread of the process anyway, and NODE_OPTIONS
 * still reaches them.
 */
const NO_FLAGS = { execArgv: [] } as const satisfies WorkerOptions;

/** Starts the device's thread. It lies beside this file, also in the bundle for boards, where all of the main thread is one file. */
export function startWorker(options: WorkerOptions): Worker {
  return new Worker(new URL('./worker.js', import.meta.url), { ...options, ...NO_FLAGS });
}

/** Starts the thread for templates and schemas, which lies there, too. */
export function startPrograms(options: WorkerOptions): Worker {
  return new Worker(new URL('./program-worker.js', import.meta.url), { ...options, ...NO_FLAGS });
}
