import type { BoardDescription } from '../description.js';
import { counterDesignOf, type Monitor } from './monitors.js';
import type { Register, RegisterTable } from './register.js';

const SOURCE = 'core manual, "Registers", hardware counters window';

/** Registers are placed in the order of their declaration, 8 bytes each, from here on. */
const FIRST = 0x14;
/** Target, count and state of one monitor. */
const MONITOR_BYTES = 0x18;

/** Where the counters of a design lie; byte offsets in the HWC window. */
export interface CounterMap {
  readonly monitors: readonly Monitor[];
  /** Reset of all counters: write 1, then 0. */
  readonly reset: number;
  /** By number of the monitor. */
  readonly registers: readonly { readonly target: number; readonly count: number; readonly state: number }[];
}

type Design = Pick<BoardDescription, 'revision' | 'hwc'>;

/** The counters of a design. @throws PynqLlmError DRIVER_BOARD_FILE_INVALID where there never was such a design */
export function counterMap(description: Design): CounterMap {
  const { layout, monitors } = counterDesignOf(description);
  const resetFirst = layout === 'reset-first';
  return {
    monitors,
    reset: resetFirst ? FIRST : FIRST + MONITOR_BYTES * monitors.length,
    registers: monitors.map((_, index) => {
      const target = FIRST + (resetFirst ? 8 : 0) + MONITOR_BYTES * index;
      return { target, count: target + 8, state: target + 16 };
    }),
  };
}

/** The hardware counters window of a design. */
export function hwcTable(description: Design): RegisterTable {
  const map = counterMap(description);
  const registers: Record<string, Register> = {
    RESET: {
      offset: map.reset,
      access: 'rw',
      reset: 0,
      description: 'while 1, all counts are 0',
      sideEffect: 'write 1, then 0',
      source: SOURCE,
      fields: { RESET: { lsb: 0, width: 1, access: 'rw', description: 'hold the counts at 0' } },
    },
  };
  map.monitors.forEach(({ name, states, resetState }, index) => {
    const prefix = name.toUpperCase().replaceAll('-', '_');
    const unit = name.replaceAll('-', ' ');
    const { target, count, state } = map.registers[index]!;
    const stateField = (access: 'ro' | 'rw') => ({
      STATE: { lsb: 0, width: 32, access, description: 'state of the unit', values: states },
    });
    registers[`${prefix}_TARGET`] = {
      offset: target,
      access: 'rw',
      reset: 0,
      description: `state of the ${unit} that is counted`,
      unit: 'state',
      sideEffect: 'does not reset the count',
      source: SOURCE,
      fields: stateField('rw'),
    };
    registers[`${prefix}_COUNT`] = {
      offset: count,
      access: 'ro',
      reset: 0,
      description: `cycles that the ${unit} spent in the target state, modulo 2^32; undefined before the first reset`,
      unit: 'cycles',
      source: SOURCE,
    };
    registers[`${prefix}_STATE`] = {
      offset: state,
      access: 'ro',
      reset: resetState,
      description: `state of the ${unit} now`,
      unit: 'state',
      source: SOURCE,
      fields: stateField('ro'),
    };
  });
  return { title: `BFP MatMul core ${description.revision}, hardware counters`, registers };
}
