import { type BoardDescription, type CounterMap, counterMap, type MonitorName } from '../board/index.js';
import type { Clock } from './clock.js';

/** A stretch of time that a unit spends in a state other than its resting one. `to` may be moved while it lasts. */
export interface Span {
  monitor: number;
  state: number;
  from: number;
  /** Where it ends unless something is late. */
  plannedEnd: number;
  to: number;
}

interface Counter {
  target: number;
  /** Count up to `since`, where the target was set or the counters were reset. */
  counted: number;
  /** Cycles that the unit had spent in the target state by then. */
  before: number;
}

/** Finished spans are folded into the tally when this many have gathered. */
const FOLD_AT = 64;

/** What the counters hold before their first reset: the manual leaves it undefined, so nobody may count on zero. */
const UNDEFINED_COUNT = 0xa5a5_a5a5;

/**
 * The states that the core's units go through, and the hardware counters over them (manual, "Registers"). A tally of
 * cycles by unit and state is kept, so that a counter gives the right count whenever its target is changed.
 */
export class Monitors {
  readonly #map: CounterMap;
  readonly #numbers: ReadonlyMap<MonitorName, number>;
  /** State of a unit outside of all spans. */
  readonly #resting: number[];
  /** Cycles by monitor and state. */
  readonly #tally: number[][];
  readonly #counters: Counter[];
  #spans: Span[] = [];
  /** Spans that were folded, to be used again: a tile has some fifteen of them. */
  readonly #spare: Span[] = [];
  readonly #poweredUpAt: number;
  #held = false;
  readonly #clock: Clock;

  constructor(description: BoardDescription, clock: Clock) {
    this.#clock = clock;
    this.#map = counterMap(description);
    const { monitors } = this.#map;
    this.#poweredUpAt = clock.now;
    this.#numbers = new Map(monitors.map(({ name }, index) => [name, index]));
    // A weight transfer unit rests in state 1; its state 0 before the first load is a span.
    this.#resting = monitors.map(({ name, resetState }) =>
      name.startsWith('weight-transfer') ? 1 : resetState,
    );
    this.#tally = monitors.map(({ states }) =>
      Array(Math.max(...Object.keys(states).map(Number)) + 1).fill(0),
    );
    this.#counters = monitors.map(() => ({ target: 0, counted: UNDEFINED_COUNT, before: 0 }));
  }

  /**
   * Adds a span; undefined where the revision has no such unit. Spans of one unit never overlap. Who means to move
   * `to` lets go of the span before it is over.
   */
  add(name: MonitorName, state: number, from: number, cycles: number): Span | undefined {
    const monitor = this.#numbers.get(name);
    if (monitor === undefined || cycles <= 0) return undefined;
    const plannedEnd = from + cycles;
    const span = this.#spare.pop() ?? { monitor, state, from, plannedEnd, to: plannedEnd };
    span.monitor = monitor;
    span.state = state;
    span.from = from;
    span.plannedEnd = plannedEnd;
    span.to = plannedEnd;
    this.#spans.push(span);
    if (this.#spans.length > FOLD_AT) this.#fold();
    return span;
  }

  /** Ends every span now: the core stops in its tracks. */
  stop(): void {
    const { now } = this.#clock;
    this.#fold();
    this.#spans = this.#spans.filter(({ from }) => from < now);
    for (const span of this.#spans) span.to = now;
  }

  /** The next cycle at which a unit goes into another state, or Infinity. */
  nextChange(): number {
    const { now } = this.#clock;
    let next = Number.POSITIVE_INFINITY;
    for (const { from, to } of this.#spans) {
      if (from > now) next = Math.min(next, from);
      else if (to > now) next = Math.min(next, to);
    }
    return next;
  }

  stateOf(name: MonitorName): number {
    const monitor = this.#numbers.get(name);
    return monitor === undefined ? 0 : this.#state(monitor);
  }

  read(offset: number): number {
    if (offset === this.#map.reset) return this.#held ? 1 : 0;
    for (let monitor = 0; monitor < this.#counters.length; monitor++) {
      const { target, count, state } = this.#map.registers[monitor]!;
      if (offset === target) return this.#counters[monitor].target;
      if (offset === count) return this.#held ? 0 : this.#count(monitor);
      if (offset === state) return this.#state(monitor);
    }
    return 0;
  }

  write(offset: number, value: number): void {
    if (offset === this.#map.reset) {
      // The reset is bit 0 alone: a value without it resets nothing, and ends a reset that was held.
      const reset = (value & 1) !== 0;
      if (!reset && !this.#held) return;
      this.#held = reset;
      for (const [monitor, counter] of this.#counters.entries()) {
        counter.counted = 0;
        counter.before = this.#cyclesIn(monitor, counter.target);
      }
      return;
    }
    const monitor = this.#map.registers.findIndex(({ target }) => target === offset);
    if (monitor < 0) return;
    const counter = this.#counters[monitor];
    counter.counted = this.#count(monitor);
    counter.target = value;
    counter.before = this.#cyclesIn(monitor, value);
  }

  #count(monitor: number): number {
    const { target, counted, before } = this.#counters[monitor];
    return (counted + this.#cyclesIn(monitor, target) - before) % 2 ** 32;
  }

  #state(monitor: number): number {
    const { now } = this.#clock;
    const span = this.#spans.find(({ monitor: its, from, to }) => its === monitor && from <= now && now < to);
    return span?.state ?? this.#resting[monitor];
  }

  /** Cycles since power-up that a unit has spent in a state. */
  #cyclesIn(monitor: number, state: number): number {
    const { now } = this.#clock;
    let cycles = this.#tally[monitor][state] ?? 0;
    let elsewhere = 0;
    for (const spent of this.#tally[monitor]) elsewhere += spent;
    for (const span of this.#spans) {
      if (span.monitor !== monitor) continue;
      const lasted = Math.max(0, Math.min(span.to, now) - span.from);
      elsewhere += lasted;
      if (span.state === state) cycles += lasted;
    }
    return state === this.#resting[monitor] ? cycles + now - this.#poweredUpAt - elsewhere : cycles;
  }

  #fold(): void {
    const { now } = this.#clock;
    let kept = 0;
    for (const span of this.#spans) {
      if (span.to > now) {
        this.#spans[kept++] = span;
        continue;
      }
      this.#tally[span.monitor][span.state] += span.to - span.from;
      this.#spare.push(span);
    }
    // Setting the length gives the array's memory back, and it is needed again at once.
    while (this.#spans.length > kept) this.#spans.pop();
  }
}
