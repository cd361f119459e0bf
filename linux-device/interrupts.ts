import { constants } from 'node:fs';
import { PynqLlmError } from '../errors/index.js';
import { errnoOf, openDevice, type SystemFiles } from './system-files.js';

/** How long the thread may sleep before it looks again, whatever the interrupts do: one may have been missed. */
const LONGEST_SLEEP_MS = 10;
/** Short transfers are over before a sleeping thread would be awake again. */
const SPIN_US = 100;
const SHORTEST_SLEEP_MS = 0.05;
const LONGEST_POLL_MS = 1;
/**
 * What a thread that wakes later than it meant to waited in vain at most; for the rest it was stopped, as by a collection of
 * garbage, and could not start what the device waits for. Several times what a busy processor makes it late.
 */
const LATEST_US = 5000;

/** Sleeps until a descriptor can be read or the time is over: poll(2). */
export type WaitReadable = (fds: readonly number[], timeoutMs: number) => boolean;

/** Interrupts of UIO devices (Documentation/driver-api/uio-howto.rst): a write of 1 enables, a read takes. */
export class UioInterrupts {
  readonly #fds: number[] = [];
  readonly #one = new Uint8Array(new Uint32Array([1]).buffer);
  readonly #count = new Uint8Array(4);

  readonly #files: SystemFiles;
  readonly #waitReadable: WaitReadable;

  /**
   * Takes those of the devices that have an interrupt.
   * @throws PynqLlmError LINUX_OPEN_FAILED
   */
  constructor(files: SystemFiles, devices: readonly string[], waitReadable: WaitReadable) {
    this.#files = files;
    this.#waitReadable = waitReadable;
    for (const device of devices) {
      const fd = this.#open(device);
      if (this.#enable(fd)) this.#fds.push(fd);
      else files.closeSync(fd);
    }
  }

  get size(): number {
    return this.#fds.length;
  }

  /** Enables all, sleeps until one comes or the time is over, and takes what came. */
  sleep(milliseconds: number): void {
    for (const fd of this.#fds) this.#enable(fd);
    if (!this.#waitReadable(this.#fds, Math.ceil(milliseconds))) return;
    for (const fd of this.#fds) this.#take(fd);
  }

  close(): void {
    for (const fd of this.#fds.splice(0)) this.#files.closeSync(fd);
  }

  #open(device: string): number {
    try {
      return openDevice(this.#files, device, constants.O_RDWR | constants.O_NONBLOCK);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** False for a device without interrupt, whose driver answers EIO or ENOSYS. */
  #enable(fd: number): boolean {
    try {
      this.#files.writeSync(fd, this.#one, 0, 4, null);
      return true;
    } catch {
      return false;
    }
  }

  #take(fd: number): void {
    try {
      this.#files.readSync(fd, this.#count, 0, 4, null);
    } catch (error) {
      if (errnoOf(error) === 'EAGAIN') return;
      throw new PynqLlmError(
        'LINUX_INTERRUPT_FAILED',
        `A UIO device cannot be read: ${error instanceof Error ? error.message : String(error)}.`,
        { cause: error },
      );
    }
  }
}

/** Waits for the device: looks, sleeps, looks again, until a deadline. */
export class Waiter {
  readonly #nothing = new Int32Array(new SharedArrayBuffer(4));

  readonly #now: () => number;
  readonly #interrupts: UioInterrupts;

  /** @param now microseconds of a clock that never goes back */
  constructor(now: () => number, interrupts: UioInterrupts) {
    this.#now = now;
    this.#interrupts = interrupts;
  }

  /**
   * Whether `done` held before the time was over; it is asked once more at the end. While the thread is stopped no time
   * passes: a transfer in pieces makes no progress without it.
   */
  waitUntil(done: () => boolean, timeoutUs: number): boolean {
    // The clock costs more than a look.
    if (done()) return true;
    let last = this.#now();
    let waitedUs = 0;
    let pauseMs = SHORTEST_SLEEP_MS;
    const count = (meantUs: number): void => {
      const now = this.#now();
      waitedUs += Math.min(now - last, meantUs + LATEST_US);
      last = now;
    };
    for (;;) {
      if (done()) return true;
      count(0);
      if (waitedUs >= timeoutUs) return done();
      if (waitedUs < SPIN_US) continue;
      const withInterrupts = this.#interrupts.size > 0;
      const sleepMs = Math.min((timeoutUs - waitedUs) / 1000, withInterrupts ? LONGEST_SLEEP_MS : pauseMs);
      if (withInterrupts) this.#interrupts.sleep(sleepMs);
      else Atomics.wait(this.#nothing, 0, 0, sleepMs);
      if (!withInterrupts) pauseMs = Math.min(pauseMs * 2, LONGEST_POLL_MS);
      count(sleepMs * 1000);
    }
  }
}
