import type { CounterReading } from '../sdk/index.js';

/** Hardware counters count modulo this. */
const RANGE = 2 ** 32;

type Counter = CounterReading['counters'][number];

/** Cycles that a unit of the core was in a state. */
export interface UnitTotal {
  readonly unit: string;
  readonly state: string;
  cycles: number;
}

/**
 * Totals of the hardware counters, which wrap (after 43 s at 100 MHz) and which anybody may reset: a counter that has become
 * smaller has wrapped where the clock had the time for that, and was reset otherwise.
 */
export class UnitCycles {
  readonly #totals = new Map<string, UnitTotal>();
  #last: { readonly at: number; readonly cycles: ReadonlyMap<string, number> } | undefined;

  /** The totals since the first reading. @param at milliseconds of the reading */
  take(counters: readonly Counter[], clockHz: number, at: number): UnitTotal[] {
    const last = this.#last;
    const elapsed = last === undefined ? 0 : ((at - last.at) / 1_000) * clockHz;
    const now = new Map<string, number>();
    for (const { name: unit, targetName: state, cycles } of counters) {
      const key = `${unit} ${state}`;
      const total = this.#totals.get(key) ?? { unit, state, cycles: 0 };
      this.#totals.set(key, total);
      now.set(key, cycles);
      const before = last?.cycles.get(key);
      if (before === undefined) continue;
      const wrapped = cycles + RANGE - before;
      total.cycles += cycles >= before ? cycles - before : wrapped <= elapsed ? wrapped : cycles;
    }
    this.#last = { at, cycles: now };
    return [...this.#totals.values()];
  }
}
