import type { MessagePort, Worker } from 'node:worker_threads';
import { startPrograms } from '../worker/start.js';

/** A template that builds texts without end: it ends its thread, not the device's. */
const MEMORY_MIB = 96;

/** The threads for templates and schemas of a device's worker, which hears from here how they end. */
export class ProgramThreads {
  readonly #onEnded: (thread: number, reason: string) => void;
  readonly #threads = new Map<number, Worker>();

  constructor(onEnded: (thread: number, reason: string) => void) {
    this.#onEnded = onEnded;
  }

  start(thread: number, port: MessagePort, doorbell: SharedArrayBuffer): void {
    const worker = startPrograms({
      name: 'programs',
      workerData: { port, doorbell },
      transferList: [port],
      resourceLimits: { maxOldGenerationSizeMb: MEMORY_MIB, maxYoungGenerationSizeMb: 4 },
    });
    this.#threads.set(thread, worker);
    // The device's thread keeps the process alive while it waits for an answer.
    worker.unref();
    const over = (reason: string) => {
      if (this.#threads.get(thread) !== worker) return;
      this.#threads.delete(thread);
      this.#onEnded(thread, reason);
    };
    worker.on('error', (error: unknown) => over(error instanceof Error ? error.message : String(error)));
    worker.on('exit', (code) => over(`status ${code}`));
  }

  end(thread: number): void {
    const worker = this.#threads.get(thread);
    this.#threads.delete(thread);
    void worker?.terminate();
  }

  endAll(): void {
    for (const thread of [...this.#threads.keys()]) this.end(thread);
  }
}
