const RING = 0;
const BEAT = 1;
const BUSY = 2;
const WORDS = 3;

/** How long the worker looks for the next message without sleeping, after the last one. */
const SPIN_MS = 0.5;
const SLEEP_MS = 1_000;

/**
 * Shared memory between main thread and device worker. The worker sleeps here rather than in its event loop: it
 * never returns to one, so a message reaches it between any two steps, and it wakes in a few microseconds. The
 * short spin keeps a run of register accesses from paying two sleeps of the operating system for each.
 */
export class Doorbell {
  readonly #words: Int32Array;

  constructor(readonly shared: SharedArrayBuffer = new SharedArrayBuffer(WORDS * 4)) {
    this.#words = new Int32Array(shared);
  }

  /** Main thread: a message was posted. */
  ring(): void {
    Atomics.add(this.#words, RING, 1);
    Atomics.notify(this.#words, RING);
  }

  /** Main thread: a number that changes while the worker makes progress; undefined while it has nothing to do. */
  get beat(): number | undefined {
    return Atomics.load(this.#words, BUSY) === 1 ? Atomics.load(this.#words, BEAT) : undefined;
  }

  /** Worker: still at work, and making progress. */
  tick(): void {
    Atomics.store(this.#words, BUSY, 1);
    Atomics.add(this.#words, BEAT, 1);
  }

  /** Worker: how often it was rung, to hand to `sleep`. */
  get rings(): number {
    return Atomics.load(this.#words, RING);
  }

  /** Worker: waits until it is rung, unless it was since `rings` was read; returns after a second at the latest. */
  sleep(rings: number, lastMessageAt: number): void {
    Atomics.store(this.#words, BUSY, 0);
    while (performance.now() - lastMessageAt < SPIN_MS) if (this.rings !== rings) return;
    Atomics.wait(this.#words, RING, rings, SLEEP_MS);
  }
}
