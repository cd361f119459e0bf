import { Worker, type WorkerOptions } from 'node:worker_threads';

/** Starts the device's thread. It lies beside this file, also in the bundle for boards, where all of the main thread is one file. */
export function startWorker(options: WorkerOptions): Worker {
  return new Worker(new URL('./worker.js', import.meta.url), options);
}

/** Starts the thread for templates and schemas, which lies there, too. */
export function startPrograms(options: WorkerOptions): Worker {
  return new Worker(new URL('./program-worker.js', import.meta.url), options);
}
