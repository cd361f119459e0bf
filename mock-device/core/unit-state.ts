import type { MonitorName } from '../../board/index.js';
import type { Monitors, Span } from '../monitors.js';

/** The state in which units of the core rest, but for the SOFT_MAX unit. */
const IDLE = 1;

/** The state of one of the core's units over time, as its monitor shows it. Changes are told in the order of time. */
export class UnitState {
  #state: number;
  /** The stretch in the present state; none while idle, or where the revision has no such monitor. */
  #span: Span | undefined;
  readonly #monitors: Monitors;
  readonly #name: MonitorName;
  readonly #idle: number;

  constructor(monitors: Monitors, name: MonitorName, idle = IDLE) {
    this.#monitors = monitors;
    this.#name = name;
    this.#idle = idle;
    this.#state = idle;
  }

  /** @param at cycle of the change, which may lie ahead */
  enter(state: number, at: number): void {
    if (state === this.#state) return;
    if (this.#span !== undefined) this.#span.to = at;
    this.#state = state;
    this.#span =
      state === this.#idle ? undefined : this.#monitors.add(this.#name, state, at, Number.POSITIVE_INFINITY);
  }

  /** The monitors ended all stretches: what was told of the future does not come. */
  forget(): void {
    this.#span = undefined;
    this.#state = this.#idle;
  }
}
