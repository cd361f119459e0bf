import type { CoreRevision } from '../description.js';

/** One hardware counter: it counts the cycles that a unit of the core spends in the target state. */
export interface Monitor {
  /** Name in the field's terms, such as `weight-transfer-a`. */
  readonly name: MonitorName;
  /** States that the unit can be in, by number. */
  readonly states: Readonly<Record<number, string>>;
  /** State at power-up. */
  readonly resetState: number;
}

const CONTROL_UNIT = {
  1: 'wait-opcode',
  2: 'decode',
  3: 'config',
  4: 'wait-load-unit',
  5: 'compute-issued',
  6: 'end',
} as const;
const LOAD_UNIT = { 1: 'idle', 2: 'start', 3: 'inputs', 4: 'weights' } as const;
const STORE_UNIT = { 1: 'always' } as const;
const SCHEDULER = {
  1: 'idle',
  2: 'wait-ready',
  31: 'start-handshake',
  32: 'acknowledge',
  4: 'done',
} as const;
const WEIGHT_TRANSFER = { 0: 'before-first-load', 1: 'after-first-load' } as const;
const WEIGHT_TRANSFER_V1 = { 1: 'always' } as const;
const WEIGHT_LOADER = { 0: 'always' } as const;
const COMPUTE = { 1: 'idle', 2: 'computing', 3: 'end' } as const;
const WEIGHT_LOAD = { 1: 'idle', 2: 'loading' } as const;
const INPUT_LOAD = { 1: 'idle', 4: 'quants', 5: 'sums', 6: 'block-end' } as const;

const SHARED = [
  { name: 'control-unit', states: CONTROL_UNIT, resetState: 1 },
  { name: 'load-unit', states: LOAD_UNIT, resetState: 1 },
  { name: 'store-unit', states: STORE_UNIT, resetState: 1 },
  { name: 'scheduler', states: SCHEDULER, resetState: 1 },
] as const;

/** Monitors by number (manual, "Registers"). */
const MONITORS_V1 = [
  ...SHARED,
  { name: 'weight-transfer', states: WEIGHT_TRANSFER_V1, resetState: 1 },
] as const;
const MONITORS_V3 = [
  ...SHARED,
  { name: 'weight-transfer-a', states: WEIGHT_TRANSFER, resetState: 0 },
  { name: 'weight-transfer-b', states: WEIGHT_TRANSFER, resetState: 0 },
  { name: 'weight-transfer-c', states: WEIGHT_TRANSFER, resetState: 0 },
  { name: 'weight-transfer-d', states: WEIGHT_TRANSFER, resetState: 0 },
  { name: 'weight-loader-a', states: WEIGHT_LOADER, resetState: 0 },
  { name: 'weight-loader-b', states: WEIGHT_LOADER, resetState: 0 },
  { name: 'weight-loader-c', states: WEIGHT_LOADER, resetState: 0 },
  { name: 'weight-loader-d', states: WEIGHT_LOADER, resetState: 0 },
  { name: 'compute', states: COMPUTE, resetState: 1 },
  { name: 'weight-load', states: WEIGHT_LOAD, resetState: 1 },
  { name: 'input-load', states: INPUT_LOAD, resetState: 1 },
] as const;

export type MonitorName = (typeof MONITORS_V1)[number]['name'] | (typeof MONITORS_V3)[number]['name'];

/** The monitors of a revision; a monitor's place in the list is its number in the HWC window. */
export const MONITORS: Readonly<Record<CoreRevision, readonly Monitor[]>> = {
  v1: MONITORS_V1,
  v3: MONITORS_V3,
};
