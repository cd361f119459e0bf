interface ClockEvent {
  readonly cycle: number;
  readonly action: () => void;
}

/**
 * Simulated time in cycles of the fabric clock. Register accesses and the CPU's work cost nothing: time passes only
 * while somebody waits, from event to event.
 */
export class Clock {
  #cycle = 0;
  /** Sorted by cycle; events of the same cycle keep the order in which they were added. */
  #events: ClockEvent[] = [];

  /** Cycles since power-up of the board. */
  get now(): number {
    return this.#cycle;
  }

  /** Calls `action` when time reaches `cycle`, which may be now but is not called before time is advanced. */
  at(cycle: number, action: () => void): void {
    let place = this.#events.length;
    while (place > 0 && this.#events[place - 1].cycle > cycle) place--;
    if (place === this.#events.length) this.#events.push({ cycle, action });
    else this.#events.splice(place, 0, { cycle, action });
  }

  /** The cycle of the next event, or Infinity. */
  get next(): number {
    return this.#events.length === 0 ? Number.POSITIVE_INFINITY : this.#events[0].cycle;
  }

  /** Moves time forward and does all that is due by then. */
  advanceTo(cycle: number): void {
    while (this.#events.length > 0 && this.#events[0].cycle <= cycle) {
      const event = this.#events.shift();
      if (event === undefined) return;
      this.#cycle = Math.max(this.#cycle, event.cycle);
      event.action();
    }
    this.#cycle = Math.max(this.#cycle, cycle);
  }

  /** Forgets all events: the logic that they belonged to was reset. */
  clear(): void {
    this.#events = [];
  }
}
