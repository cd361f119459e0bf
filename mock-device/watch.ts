/** Something with a state that software can look at. */
export interface Watched {
  /** Number of the question during which it was looked at last. */
  lookedAt: number;
}

/**
 * What a waiting driver looks at. Like a processor that sleeps until an interrupt of the device it waits for, it is
 * asked again only when something has changed that it looked at when it was asked last.
 */
export class Watch {
  /** Number of the last question. */
  #question = 0;
  #lookedAtAnything = false;
  #changed = false;
  #interrupted = false;

  /** Asks whether the wait is over. */
  ask(done: () => boolean): boolean {
    this.#question++;
    this.#lookedAtAnything = false;
    this.#changed = false;
    return done();
  }

  /** The software reads the state of `part`. */
  look(part: Watched): void {
    part.lookedAt = this.#question;
    this.#lookedAtAnything = true;
  }

  /** Whether `part` was looked at when asked last. */
  looksAt(part: Watched): boolean {
    return part.lookedAt === this.#question;
  }

  /** The state of `part` has changed by itself. */
  change(part: Watched): void {
    if (!this.#lookedAtAnything || this.looksAt(part)) this.#changed = true;
  }

  /** An interrupt that the software did not wait for: an error, which wakes it all the same. */
  interrupt(): void {
    this.#interrupted = true;
  }

  /** Whether there was such an interrupt; each wakes the software once. */
  takeInterrupt(): boolean {
    const interrupted = this.#interrupted;
    this.#interrupted = false;
    return interrupted;
  }

  /** Whether to ask again. */
  get isDue(): boolean {
    return this.#changed;
  }
}
