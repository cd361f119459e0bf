/** Below this a connection cannot be the one that is too much. */
const SMALL_BYTES = 256 * 1024;

/** A connection that takes memory. */
export interface MemoryUser {
  /** Bytes that it takes now. */
  readonly bytes: () => number;
  /** It took the most, so many bytes, and has to go. */
  readonly end: (bytes: number) => void;
}

/** Memory that connections have together, each within a limit of its own: where it is too much the largest one ends. */
export class MemoryLimit {
  readonly #most: number;
  readonly #users = new Set<MemoryUser>();

  /** @param most bytes of all */
  constructor(most: number) {
    this.#most = most;
  }

  add(user: MemoryUser): void {
    this.#users.add(user);
  }

  remove(user: MemoryUser): void {
    this.#users.delete(user);
  }

  /** This one has more than before. */
  check(user: MemoryUser): void {
    if (user.bytes() < SMALL_BYTES) return;
    const taken = [...this.#users].map((one) => ({ user: one, bytes: one.bytes() }));
    if (taken.reduce((sum, { bytes }) => sum + bytes, 0) <= this.#most) return;
    const largest = taken.reduce((a, b) => (b.bytes > a.bytes ? b : a));
    this.#users.delete(largest.user);
    largest.user.end(largest.bytes);
  }
}
