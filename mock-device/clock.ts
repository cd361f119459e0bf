/**
 * Simulated time in cycles of the fabric clock. Register accesses and the CPU's work cost nothing: time passes only
 * while somebody waits, from event to event.
 */
export class Clock {
  #cycle = 0;
  /** Cycles and actions of events, the next one last; events of the same cycle keep the order in which they were added. */
  readonly #cycles: number[] = [];
  readonly #actions: (() => void)[] = [];

  /** Cycles since power-up of the board. */
  get now(): number {
    return this.#cycle;
  }

  /** Calls `action` when time reaches `cycle`, which may be now but is not called before time is advanced. */
  at(cycle: number, action: () => void): void {
    let place = this.#cycles.length;
    this.#cycles.push(cycle);
    this.#actions.push(action);
    for (; place > 0 && this.#cycles[place - 1] <= cycle; place--) {
      this.#cycles[place] = this.#cycles[place - 1];
      this.#actions[place] = this.#actions[place - 1];
    }
    this.#cycles[place] = cycle;
    this.#actions[place] = action;
  }

  /** The cycle of the next event, or Infinity. */
  get next(): number {
    return this.#cycles.length === 0 ? Number.POSITIVE_INFINITY : this.#cycles[this.#cycles.length - 1];
  }

  /** Moves time forward and does all that is due by then. */
  advanceTo(cycle: number): void {
    while (this.#cycles.length > 0 && this.next <= cycle) {
      this.#cycle = Math.max(this.#cycle, this.#cycles.pop() ?? 0);
      this.#actions.pop()?.();
    }
    this.#cycle = Math.max(this.#cycle, cycle);
  }

  /** Forgets all events: the logic that they belonged to was reset. */
  clear(): void {
    this.#cycles.length = 0;
    this.#actions.length = 0;
  }
}
