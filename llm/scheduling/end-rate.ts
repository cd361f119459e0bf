/** How much an interval still counts after the next one. */
const KEPT = 0.9;

/**
 * How fast requests end while others wait for their places. It is about the requests of now: as soon as nobody waits it is
 * forgotten, because the next ones may be shorter, or the board quicker.
 */
export class EndRate {
  #waits = false;
  #lastAt: number | undefined;
  /** Sums of the intervals and of their number, older ones by less. */
  #ms = 0;
  #ends = 0;

  /** Mean time from one end to the next one; unknown until two were seen. */
  get msPerRequest(): number | undefined {
    return this.#ends === 0 ? undefined : this.#ms / this.#ends;
  }

  /** Whether anybody waits from now on. */
  wait(anybody: boolean): void {
    this.#waits = anybody;
    if (anybody) return;
    this.#lastAt = undefined;
    this.#ms = 0;
    this.#ends = 0;
  }

  /** A request that had a place has ended. */
  end(now: number): void {
    if (!this.#waits) return;
    if (this.#lastAt !== undefined) {
      this.#ms = this.#ms * KEPT + now - this.#lastAt;
      this.#ends = this.#ends * KEPT + 1;
    }
    this.#lastAt = now;
  }
}
