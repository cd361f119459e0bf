import type { Clock } from '../../protocol/index.js';

/** Who asks for health waits for seconds only; the file system of a server that is gone answers never. */
const DEADLINE_MS = 1_000;

/** A question to a part of the agent that may fail or never answer. */
export class PartProbe<T> {
  readonly #clock: Clock;
  readonly #ask: () => Promise<T>;
  /** A question that is not answered is not asked again: each would hold one of Node's few threads. */
  #asked: Promise<T> | undefined;

  constructor(clock: Clock, ask: () => Promise<T>) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /** Answers or rejects within a second. */
  read(): Promise<T> {
    this.#asked ??= this.#ask().finally(() => {
      this.#asked = undefined;
    });
    const asked = this.#asked;
    return new Promise((resolve, reject) => {
      const stop = this.#clock.after(DEADLINE_MS, () =>
        reject(new Error(`It does not answer within ${DEADLINE_MS} ms.`)),
      );
      asked.then(resolve, reject).finally(stop);
    });
  }
}
