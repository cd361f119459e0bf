const RING = 0;
const BEAT = 1;
const STATE = 2;
const WORDS = 3;

const ASLEEP = 0;
const BUSY = 1;
/** Has nothing to do and looks for the next message without sleeping. */
const AWAKE = 2;

/** How long the worker stays awake after the last message. */
const AWAKE_MS = 1;
const SLEEP_MS = 1_000;

/**
 * Shared memory between main thread and device worker. The worker sleeps here rather than in its event loop, to
 * which it never returns, so a message reaches it between any two steps. After a message it stays awake for a
 * moment, because more may come, and falling asleep and waking cost more than most requests.
 */
export class Doorbell {
  readonly #words: Int32Array;

  constructor(readonly shared: SharedArrayBuffer = new SharedArrayBuffer(WORDS * 4)) {
    this.#words = new Int32Array(shared);
  }

  /** Main thread: a message was posted. */
  ring(): void {
    Atomics.add(this.#words, RING, 1);
    // One that falls asleep after this look finds that it was rung, and does not.
    if (Atomics.load(this.#words, STATE) === ASLEEP) Atomics.notify(this.#words, RING);
  }

  /** Main thread: whether the worker has nothing to do and is looking for work. */
  get isAwake(): boolean {
    return Atomics.load(this.#words, STATE) === AWAKE;
  }

  /** Main thread: a number that changes while the worker makes progress; undefined while it has nothing to do. */
  get beat(): number | undefined {
    return Atomics.load(this.#words, STATE) === BUSY ? Atomics.load(this.#words, BEAT) : undefined;
  }

  /** Worker: still at work, and making progress. */
  tick(): void {
    Atomics.store(this.#words, STATE, BUSY);
    Atomics.add(this.#words, BEAT, 1);
  }

  /** Worker: how often it was rung, to hand to `sleep`. */
  get rings(): number {
    return Atomics.load(this.#words, RING);
  }

  /** Worker: waits until it is rung, unless it was since `rings` was read; returns after a second at the latest. */
  sleep(rings: number, lastMessageAt: number): void {
    Atomics.store(this.#words, STATE, AWAKE);
    while (performance.now() - lastMessageAt < AWAKE_MS) if (this.rings !== rings) return;
    Atomics.store(this.#words, STATE, ASLEEP);
    Atomics.wait(this.#words, RING, rings, SLEEP_MS);
  }
}
