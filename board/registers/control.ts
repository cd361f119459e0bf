import type { CoreRevision } from '../description.js';
import { unitStates } from './monitors.js';
import type { Register, RegisterTable } from './register.js';

const SOURCE = 'core manual, "Registers", control window';

/** Offset of status register 0; they are 8 bytes apart. */
export const STATUS_OFFSET = 0x24;
export const STATUS_STRIDE = 8;

/** The first registers of every revision. */
const SHARED = [
  { unit: 'control-unit', idle: 1 },
  { unit: 'load-unit', idle: 1 },
  { unit: 'store-unit', idle: 1 },
  { unit: 'scheduler', idle: 1 },
  { unit: 'reserved-4', idle: 0 },
  { unit: 'reserved-5', idle: 0 },
  { unit: 'reserved-6', idle: 0 },
] as const;
const FOUR_LANES = [...SHARED, { unit: 'reserved-7', idle: 0 }] as const;

/** Status registers by number: the unit, and its value when the core is idle, which is also its value at power-up. */
export const STATUS_REGISTERS: Readonly<
  Record<CoreRevision, readonly { readonly unit: string; readonly idle: number }[]>
> = {
  v1: [...SHARED, { unit: 'weight-loader', idle: 1 }, { unit: 'input-loader', idle: 1 }],
  v3: FOUR_LANES,
  v4: FOUR_LANES,
};

/** Byte offset of status register `index` in the control window. */
export function statusOffset(index: number): number {
  return STATUS_OFFSET + STATUS_STRIDE * index;
}

function table(revision: CoreRevision): RegisterTable {
  const registers: Record<string, Register> = {
    START: {
      offset: 0x14,
      access: 'rw',
      reset: 0,
      description: 'unused: the core runs freely',
      source: SOURCE,
    },
    DONE: { offset: 0x1c, access: 'ro', reset: 0, description: 'unused: never rises', source: SOURCE },
  };
  STATUS_REGISTERS[revision].forEach(({ unit, idle }, index) => {
    const states = unitStates(revision, unit);
    registers[`STATUS_${constantCase(unit)}`] = {
      offset: statusOffset(index),
      access: 'ro',
      reset: idle,
      description: unit.startsWith('reserved') ? 'always 0' : `state of the ${unit.replaceAll('-', ' ')}`,
      unit: 'state',
      source: SOURCE,
      ...(states && {
        fields: {
          STATE: { lsb: 0, width: 32, access: 'ro', description: 'state of the unit', values: states },
        },
      }),
    };
  });
  return { title: `BFP MatMul core ${revision}, control`, registers };
}

function constantCase(name: string): string {
  return name.toUpperCase().replaceAll('-', '_');
}

/** The control window, by revision. */
export const CONTROL_TABLES: Readonly<Record<CoreRevision, RegisterTable>> = {
  v1: table('v1'),
  v3: table('v3'),
  v4: table('v4'),
};
