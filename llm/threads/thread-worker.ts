import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { instantiateKernels, type Kernels } from '../kernels/kernels.js';
import { CONTROL, claim, type NewMemory, SHARED_KERNELS, type ThreadSetup } from './control.js';

/**
 * A thread that takes its part of jobs. It never returns to its event loop before the pool closes: memories come by a port that
 * it looks at when a word says so.
 */
const setup: ThreadSetup = workerData;
const control = new Int32Array(setup.control);
const kernels = new Map<number, Kernels>();
let messages = 0;

/** Looks before a thread sleeps: jobs of a step follow each other closely. */
const LOOKS = 200;

run();
setup.port.close();

function run(): void {
  // Never 0, which says that the thread has not started.
  let seen = 0;
  while (Atomics.load(control, CONTROL.ends) === 0) {
    const job = Atomics.load(control, CONTROL.job);
    if (job === seen) {
      sleep(job);
      continue;
    }
    seen = job;
    Atomics.store(control, CONTROL.seen + setup.number, job);
    try {
      work();
    } catch (error) {
      Atomics.store(control, CONTROL.failed, setup.number);
      Atomics.notify(control, CONTROL.done);
      throw error;
    }
  }
}

function sleep(job: number): void {
  for (let look = 0; look < LOOKS; look++) if (Atomics.load(control, CONTROL.job) !== job) return;
  // Woken by a job, or by the end of the process, which ends its threads.
  Atomics.wait(control, CONTROL.job, job);
}

function work(): void {
  for (let unit = claim(control); unit >= 0; unit = claim(control)) {
    const kernel = SHARED_KERNELS[control[CONTROL.kernel]];
    const scratch = control[CONTROL.scratch] + setup.number * control[CONTROL.scratchBytes];
    kernelsOf(control[CONTROL.memory])[kernel](control[CONTROL.args], unit, unit + 1, scratch);
    if (Atomics.add(control, CONTROL.done, 1) + 1 === control[CONTROL.units])
      Atomics.notify(control, CONTROL.done);
  }
}

function kernelsOf(number: number): Kernels {
  for (const posted = Atomics.load(control, CONTROL.messages); messages < posted; messages++) {
    const received = receiveMessageOnPort(setup.port);
    if (received === undefined) throw new Error('a message that was posted is not there');
    const { number: its, memory }: NewMemory = received.message;
    kernels.set(its, instantiateKernels(setup.module, memory));
  }
  const found = kernels.get(number);
  if (found === undefined) throw new Error(`memory ${number} was never posted`);
  return found;
}
