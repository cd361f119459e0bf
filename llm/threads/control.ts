/**
 * The words that threads of a pool share. A job's units are claimed one by one by whoever is free: the ticket's low half counts
 * them, and its high half changes with every job, so that nobody claims a unit of a job that is over. What the job is,
 * is read after a claim: it does not change before all units are done.
 */
export const CONTROL = {
  /** Counts jobs; who has nothing to do sleeps on it. */
  job: 0,
  ticket: 1,
  /** Units of the job. */
  units: 2,
  /** Units that are done; whoever waits for the job sleeps on it. */
  done: 3,
  /** What is computed, where, and from what: see {@link Job}. */
  kernel: 4,
  memory: 5,
  args: 6,
  scratch: 7,
  scratchBytes: 8,
  /** Messages that were posted to each thread. */
  messages: 9,
  /** Not 0 once a thread has failed. */
  failed: 10,
  /** Not 0 once the threads are to end. */
  ends: 11,
  /** From here on, of each thread the last job that it has seen; 0 before it has started. */
  seen: 12,
} as const;

/** More than any machine that this runs on has. */
export const MOST_THREADS = 64;

/** The low half of a ticket that nobody may claim; jobs have fewer units. */
export const CLOSED = 0xffff;

/** Kernels that work is shared of, by their number in {@link CONTROL}: (args, first unit, end, scratch of the thread). */
export const SHARED_KERNELS = ['attend', 'multiplyBlocks'] as const;
export type SharedKernel = (typeof SHARED_KERNELS)[number];

/** What a thread is started with. */
export interface ThreadSetup {
  readonly control: SharedArrayBuffer;
  /** From 1: the caller's thread is 0. */
  readonly number: number;
  /** The compiled kernels. */
  readonly module: object;
  readonly port: import('node:worker_threads').MessagePort;
}

/** A memory that jobs will name by its number. */
export interface NewMemory {
  readonly number: number;
  readonly memory: object;
}

/** Claims a unit of the job. @returns its number, or -1 where there is none left */
export function claim(control: Int32Array): number {
  for (;;) {
    const ticket = Atomics.load(control, CONTROL.ticket);
    const unit = ticket & CLOSED;
    if (unit >= Atomics.load(control, CONTROL.units)) return -1;
    if (Atomics.compareExchange(control, CONTROL.ticket, ticket, ticket + 1) === ticket) return unit;
  }
}
