import type { CoreRevision } from '../description.js';
import { MONITORS } from './monitors.js';
import type { Register, RegisterTable } from './register.js';

const SOURCE = 'core manual, "Registers", hardware counters window';

/** Reset of all counters: write 1, then 0. */
export const HWC_RESET_OFFSET = 0x14;
/** Monitor i's registers are 0x18 * i after those of monitor 0. */
const HWC_MONITOR_STRIDE = 0x18;
const TARGET_OFFSET = 0x1c;
const COUNT_OFFSET = 0x24;
const STATE_OFFSET = 0x2c;

/** Byte offsets of monitor `index`'s registers in the HWC window. */
export function monitorOffsets(index: number): {
  readonly target: number;
  readonly count: number;
  readonly state: number;
} {
  const at = HWC_MONITOR_STRIDE * index;
  return { target: TARGET_OFFSET + at, count: COUNT_OFFSET + at, state: STATE_OFFSET + at };
}

function table(revision: CoreRevision): RegisterTable {
  const registers: Record<string, Register> = {
    RESET: {
      offset: HWC_RESET_OFFSET,
      access: 'rw',
      reset: 0,
      description: 'while 1, all counts are 0',
      sideEffect: 'write 1, then 0',
      source: SOURCE,
      fields: { RESET: { lsb: 0, width: 1, access: 'rw', description: 'hold the counts at 0' } },
    },
  };
  MONITORS[revision].forEach(({ name, states, resetState }, index) => {
    const prefix = name.toUpperCase().replaceAll('-', '_');
    const unit = name.replaceAll('-', ' ');
    const { target, count, state } = monitorOffsets(index);
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
  return { title: `BFP MatMul core ${revision}, hardware counters`, registers };
}

/** The hardware counters window, by revision. */
export const HWC_TABLES: Readonly<Record<CoreRevision, RegisterTable>> = { v1: table('v1'), v3: table('v3') };
