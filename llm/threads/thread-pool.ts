import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { PynqLlmError } from '../../errors/index.js';
import { compiledKernels, type KernelMemory } from '../kernels/kernels.js';
import {
  CLOSED,
  CONTROL,
  claim,
  MOST_THREADS,
  type NewMemory,
  SHARED_KERNELS,
  type SharedKernel,
  type ThreadSetup,
} from './control.js';

/** A unit takes milliseconds, seconds at most; a thread that takes longer is lost. */
const UNIT_MS = 30_000;
/** How often it is looked whether all threads still take notice of jobs; a start may take as long. */
const LOOK_MS = 20_000;
/** Looks before the caller sleeps: others are about as far as it is. */
const LOOKS = 2_000;

/** Work that threads share: a kernel over units that do not depend on each other. */
export interface SharedWork {
  readonly kernel: SharedKernel;
  readonly memory: KernelMemory;
  /** Address of what the kernel works on. */
  readonly args: number;
  /** Fewer than 65535. */
  readonly units: number;
  /** Address of the first thread's scratch, and bytes from one thread's to the next. */
  readonly scratch: number;
  readonly scratchBytes: number;
}

/** Deadlines in milliseconds, and how a thread is started: tests have others. */
interface PoolOptions {
  readonly unitMs?: number;
  readonly lookMs?: number;
  readonly start?: (setup: ThreadSetup) => void;
}

function startThread(setup: ThreadSetup): void {
  const thread = new Worker(new URL('./thread-worker.js', import.meta.url), {
    workerData: setup,
    transferList: [setup.port],
    execArgv: [],
    name: `compute ${setup.number}`,
  });
  // What a thread threw is told by the control words: the caller may have no event loop that would hear it.
  thread.on('error', () => {});
  thread.unref();
}

/**
 * Threads beside the caller's that compute units of its kernels in the same memory. Which thread computes a unit changes nothing
 * about its bits. The caller works too and waits only for units that others have begun, so a thread that has not started
 * yet holds nobody up.
 */
export class ThreadPool {
  /** Threads that compute, the caller's among them. */
  readonly size: number;
  readonly #control: Int32Array;
  readonly #ports: MessagePort[] = [];
  readonly #numbers = new Map<KernelMemory, number>();
  readonly #unitMs: number;
  readonly #lookMs: number;
  #jobs = 0;
  #lookedAt = performance.now();
  /** The job that was the last one at that time. */
  #lookedJob = 0;
  #begun: SharedWork | undefined;
  #closed = false;

  /**
   * Starts the threads.
   * @param size 1 to {@link MOST_THREADS}; with 1 the caller computes everything
   * @throws PynqLlmError LLM_THREADS
   */
  constructor(size: number, options: PoolOptions = {}) {
    const { unitMs = UNIT_MS, lookMs = LOOK_MS, start = startThread } = options;
    if (!Number.isInteger(size) || size < 1 || size > MOST_THREADS)
      throw new PynqLlmError(
        'LLM_THREADS',
        `${size} threads were asked for; 1 to ${MOST_THREADS} can work.`,
        {
          context: { threads: size, most: MOST_THREADS },
        },
      );
    this.size = size;
    this.#unitMs = unitMs;
    this.#lookMs = lookMs;
    const control = new SharedArrayBuffer(4 * (CONTROL.seen + size));
    this.#control = new Int32Array(control);
    this.#control[CONTROL.ticket] = CLOSED;
    for (let number = 1; number < size; number++) {
      const { port1, port2 } = new MessageChannel();
      start({ control, number, module: compiledKernels(), port: port2 });
      port1.unref();
      this.#ports.push(port1);
    }
  }

  /** Computes all units. @throws PynqLlmError LLM_THREAD_LOST */
  run(work: SharedWork): void {
    if (this.size === 1 || work.units === 1) {
      work.memory.kernels[work.kernel](work.args, 0, work.units, work.scratch);
      return;
    }
    this.begin(work);
    this.finish();
  }

  /** Leaves work to the other threads until {@link finish}; nothing else is given to them before. @throws PynqLlmError LLM_THREAD_LOST */
  begin(work: SharedWork): void {
    this.#lookAfterThreads();
    this.#publish(work);
    this.#begun = work;
  }

  /** Computes what nobody has begun, and waits for the rest. @throws PynqLlmError LLM_THREAD_LOST */
  finish(): void {
    if (this.#begun === undefined) return;
    const { memory, args, units, scratch, kernel: name } = this.#begun;
    this.#begun = undefined;
    const kernel = memory.kernels[name];
    const control = this.#control;
    for (let unit = claim(control); unit >= 0; unit = claim(control)) {
      kernel(args, unit, unit + 1, scratch);
      Atomics.add(control, CONTROL.done, 1);
    }
    this.#waitFor(units);
  }

  #publish({ kernel, memory, args, units, scratch, scratchBytes }: SharedWork): void {
    const control = this.#control;
    this.#jobs = (this.#jobs + 1) & 0x7fff;
    Atomics.store(control, CONTROL.ticket, (this.#jobs << 16) | CLOSED);
    control[CONTROL.kernel] = SHARED_KERNELS.indexOf(kernel);
    control[CONTROL.memory] = this.#numberOf(memory);
    control[CONTROL.args] = args;
    control[CONTROL.scratch] = scratch;
    control[CONTROL.scratchBytes] = scratchBytes;
    Atomics.store(control, CONTROL.done, 0);
    Atomics.store(control, CONTROL.units, units);
    Atomics.store(control, CONTROL.ticket, this.#jobs << 16);
    Atomics.add(control, CONTROL.job, 1);
    Atomics.notify(control, CONTROL.job);
  }

  #numberOf(memory: KernelMemory): number {
    const known = this.#numbers.get(memory);
    if (known !== undefined) return known;
    const number = this.#numbers.size;
    this.#numbers.set(memory, number);
    for (const port of this.#ports) port.postMessage({ number, memory: memory.shared } satisfies NewMemory);
    Atomics.add(this.#control, CONTROL.messages, 1);
    return number;
  }

  #waitFor(units: number): void {
    const control = this.#control;
    for (let look = 0; look < LOOKS; look++) if (Atomics.load(control, CONTROL.done) === units) return;
    const end = performance.now() + this.#unitMs;
    for (;;) {
      const done = Atomics.load(control, CONTROL.done);
      if (done === units) return;
      const failed = Atomics.load(control, CONTROL.failed);
      if (failed !== 0) throw this.#lost(`thread ${failed} failed`);
      const left = end - performance.now();
      if (left <= 0)
        throw this.#lost(`${units - done} of ${units} units were not done in ${this.#unitMs} ms`);
      Atomics.wait(control, CONTROL.done, done, left);
    }
  }

  /** A thread that died while it had nothing to do would not be missed otherwise. */
  #lookAfterThreads(): void {
    const control = this.#control;
    if (Atomics.load(control, CONTROL.failed) !== 0) throw this.#lost('a thread had failed before');
    const now = performance.now();
    if (now - this.#lookedAt < this.#lookMs) return;
    for (let number = 1; number < this.size; number++) {
      // The numbers of jobs may come around.
      if (((this.#lookedJob - Atomics.load(control, CONTROL.seen + number)) | 0) <= 0) continue;
      throw this.#lost(
        `thread ${number} has taken no notice of work for ${Math.round(now - this.#lookedAt)} ms`,
      );
    }
    this.#lookedAt = now;
    this.#lookedJob = Atomics.load(control, CONTROL.job);
  }

  #lost(what: string): PynqLlmError {
    // Whoever comes next is told at once.
    Atomics.compareExchange(this.#control, CONTROL.failed, 0, -1);
    return new PynqLlmError('LLM_THREAD_LOST', `A thread of the computation is lost: ${what}.`, {
      context: { threads: this.size },
    });
  }

  /** Ends the threads. Closing twice is harmless. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    Atomics.store(this.#control, CONTROL.ends, 1);
    Atomics.add(this.#control, CONTROL.job, 1);
    Atomics.notify(this.#control, CONTROL.job);
    for (const port of this.#ports) port.close();
  }
}
