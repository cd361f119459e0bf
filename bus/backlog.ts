import type { BacklogLimits } from './bus.js';
import { checkRange } from './checks.js';

/** What came for a handler and waits for its turn, within limits. */
export class Backlog<M extends { readonly data: Uint8Array }> {
  readonly #run: (message: M) => unknown;
  readonly #concurrency: number;
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  readonly #waiting: M[] = [];
  #bytes = 0;
  #running = 0;
  #closed = false;
  /** Messages that found no room. */
  dropped = 0;

  /** @param run handles one message and its own errors @param concurrency how many may run at a time */
  constructor(run: (message: M) => unknown, limits: BacklogLimits = {}, concurrency = 1) {
    this.#run = run;
    this.#concurrency = checkRange('concurrency', concurrency, 1, 1_024);
    this.#maxMessages = checkRange('limits.messages', limits.messages ?? 1_024, 1, 1_000_000);
    this.#maxBytes = checkRange('limits.bytes', limits.bytes ?? 8 << 20, 1, Number.MAX_SAFE_INTEGER);
  }

  /** @returns false where it found no room. One message always has. */
  push(message: M): boolean {
    if (this.#closed) return true;
    const bytes = this.#bytes + message.data.byteLength;
    if (this.#waiting.length >= this.#maxMessages || (this.#waiting.length > 0 && bytes > this.#maxBytes)) {
      this.dropped++;
      return false;
    }
    this.#waiting.push(message);
    this.#bytes = bytes;
    this.#next();
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#waiting.length = 0;
  }

  #next(): void {
    while (this.#running < this.#concurrency) {
      const message = this.#waiting.shift();
      if (message === undefined) return;
      this.#bytes -= message.data.byteLength;
      this.#running++;
      void this.#handle(message);
    }
  }

  async #handle(message: M): Promise<void> {
    try {
      await this.#run(message);
    } finally {
      this.#running--;
      this.#next();
    }
  }
}
