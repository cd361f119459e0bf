/** Events in the order of their times, those of one time in the order in which they were set. */
export class VirtualClock {
  /** Milliseconds. */
  now = 0;
  readonly #events: { readonly at: number; readonly order: number; readonly happen: () => void }[] = [];
  #order = 0;

  /** @param at not before now */
  set(at: number, happen: () => void): void {
    const event = { at, order: this.#order++, happen };
    // Few events are set at a time, most of them for later than the others.
    let i = this.#events.length;
    while (i > 0 && this.#events[i - 1]!.at > at) i--;
    this.#events.splice(i, 0, event);
  }

  /** Lets everything happen. @returns when the last of it did */
  run(): number {
    for (let event = this.#events.shift(); event !== undefined; event = this.#events.shift()) {
      this.now = event.at;
      event.happen();
    }
    return this.now;
  }
}
