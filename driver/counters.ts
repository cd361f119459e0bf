import {
  type BoardDescription,
  type CounterMap,
  counterMap,
  type Monitor,
  type MonitorName,
  type RegisterWindow,
} from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';

/** Which state each monitor counts: by name as in the manual, or by number. */
export type CounterTargets = Partial<Record<MonitorName, string | number>>;

/** One hardware counter at one moment. */
export interface CounterReading {
  readonly monitor: MonitorName;
  /** The state that is counted. */
  readonly state: string;
  readonly stateNumber: number;
  /** Cycles modulo 2^32 since the last reset of the counters. */
  readonly cycles: number;
}

/** What the driver counts unless told otherwise: where a MatMul's time goes. */
const DEFAULT_TARGETS: CounterTargets = {
  'control-unit': 'wait-load-unit',
  'load-unit': 'weights',
  'store-unit': 'always',
  scheduler: 'start-handshake',
  'weight-transfer': 'always',
  'weight-transfer-a': 'after-first-load',
  'weight-transfer-b': 'after-first-load',
  'weight-transfer-c': 'after-first-load',
  'weight-transfer-d': 'after-first-load',
  'weight-loader-a': 'always',
  'weight-loader-b': 'always',
  'weight-loader-c': 'always',
  'weight-loader-d': 'always',
  compute: 'computing',
  'weight-load': 'loading',
  'input-load': 'quants',
  'softmax-unit': 'busy',
};

/** The compute unit's state in which it computes. */
export const COMPUTING = 2;

/** Cycles between two readings of one 32-bit counter, which wraps. */
export function cyclesBetween(before: number, after: number): number {
  return (after - before) >>> 0;
}

/** The core's hardware counters (manual, "Registers"): one per monitor, each counting one state. */
export class Counters {
  readonly window: RegisterWindow;
  readonly #map: CounterMap;
  readonly #targets: number[];

  /** Touches nothing yet; the board has an `hwc` window. */
  constructor({
    description,
    window,
  }: { readonly description: BoardDescription; readonly window: RegisterWindow }) {
    this.window = window;
    this.#map = counterMap(description);
    this.#targets = this.#map.monitors.map((monitor) =>
      stateNumber(monitor, DEFAULT_TARGETS[monitor.name] ?? monitor.resetState),
    );
  }

  /** The monitors of this core and their states. */
  list(): readonly Monitor[] {
    return this.#map.monitors;
  }

  /**
   * Chooses what is counted; monitors not named keep their target. Does not reset the counts.
   * @throws PynqLlmError DRIVER_UNKNOWN_COUNTER
   */
  setTargets(targets: CounterTargets): void {
    for (const [name, state] of Object.entries(targets)) {
      const index = this.#indexOf(name);
      this.#targets[index] = stateNumber(this.#map.monitors[index], state);
    }
    this.writeTargets();
  }

  /** What is counted now, by state number. */
  getTargets(): CounterTargets {
    return Object.fromEntries(this.#map.monitors.map(({ name }, index) => [name, this.#targets[index]]));
  }

  /** Writes the targets again, after the core lost them. */
  writeTargets(): void {
    this.#targets.forEach((state, index) => {
      this.window.write32(this.#map.registers[index].target, state);
    });
  }

  /** Sets all counts to 0. */
  reset(): void {
    this.window.write32(this.#map.reset, 1);
    this.window.write32(this.#map.reset, 0);
  }

  /** Reads every counter, in the manual's order. */
  read(): readonly CounterReading[] {
    return this.#map.monitors.map((monitor, index) => ({
      monitor: monitor.name,
      state: stateName(monitor, this.#targets[index]),
      stateNumber: this.#targets[index],
      cycles: this.window.read32(this.#map.registers[index].count),
    }));
  }

  /** Reads one counter. @returns cycles modulo 2^32 */
  readOne(monitor: MonitorName): number {
    return this.window.read32(this.#map.registers[this.#indexOf(monitor)].count);
  }

  #indexOf(name: string): number {
    const index = this.#map.monitors.findIndex((monitor) => monitor.name === name);
    if (index >= 0) return index;
    const known = this.#map.monitors.map((monitor) => monitor.name).join(', ');
    throw new PynqLlmError('DRIVER_UNKNOWN_COUNTER', `This core has no monitor "${name}"; it has ${known}.`, {
      context: { monitor: name },
    });
  }

  /** Reads the state that each unit is in now. */
  readStates(): readonly {
    readonly monitor: MonitorName;
    readonly state: string;
    readonly stateNumber: number;
  }[] {
    return this.#map.monitors.map((monitor, index) => {
      const number = this.window.read32(this.#map.registers[index].state);
      return { monitor: monitor.name, state: stateName(monitor, number), stateNumber: number };
    });
  }
}

function stateName(monitor: Monitor, number: number): string {
  return monitor.states[number] ?? String(number);
}

function stateNumber(monitor: Monitor, state: string | number): number {
  if (typeof state === 'number' && Number.isInteger(state) && state >= 0 && state <= 0xffff_ffff)
    return state;
  const found = Object.entries(monitor.states).find(([, name]) => name === state);
  if (found) return Number(found[0]);
  const known = Object.entries(monitor.states)
    .map(([number, name]) => `${name} (${number})`)
    .join(', ');
  throw new PynqLlmError(
    'DRIVER_UNKNOWN_COUNTER',
    `${monitor.name} has no state "${state}"; it has ${known}.`,
    {
      context: { monitor: monitor.name, state },
    },
  );
}
