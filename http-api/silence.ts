/** Proxies of the ecosystem give up after 60 s without a byte, some after 30. */
export const LONGEST_SILENCE_MS = 5_000;

/** Fills the time in which a stream has nothing to say. */
export class Silence {
  readonly #fill: () => Promise<unknown>;
  readonly #ms: number;

  /** @param fill sends something without a meaning */
  constructor(fill: () => Promise<unknown>, ms = LONGEST_SILENCE_MS) {
    this.#fill = fill;
    this.#ms = ms;
  }

  /** What `next` comes to; while it does not come, `fill` is called again and again. */
  async during<Result>(next: Promise<Result>): Promise<Result> {
    const timer = setInterval(() => {
      this.#fill().catch(() => {});
    }, this.#ms);
    try {
      return await next;
    } finally {
      clearInterval(timer);
    }
  }
}
