import { PynqLlmError } from '../../errors/index.js';
import type { BoardDescription, CoreRevision, CounterLayout } from '../description.js';

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
const CONTROL_UNIT_V4 = { ...CONTROL_UNIT, 7: 'wait-softmax-unit' } as const;
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

const SOFTMAX_UNIT = { 0: 'idle', 1: 'busy' } as const;

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
const FOUR_LANES = [
  { name: 'weight-transfer-a', states: WEIGHT_TRANSFER, resetState: 0 },
  { name: 'weight-transfer-b', states: WEIGHT_TRANSFER, resetState: 0 },
  { name: 'weight-transfer-c', states: WEIGHT_TRANSFER, resetState: 0 },
  { name: 'weight-transfer-d', states: WEIGHT_TRANSFER, resetState: 0 },
  { name: 'weight-loader-a', states: WEIGHT_LOADER, resetState: 0 },
  { name: 'weight-loader-b', states: WEIGHT_LOADER, resetState: 0 },
  { name: 'weight-loader-c', states: WEIGHT_LOADER, resetState: 0 },
  { name: 'weight-loader-d', states: WEIGHT_LOADER, resetState: 0 },
  { name: 'compute', states: COMPUTE, resetState: 1 },
] as const;
/** v3 before 2026 counts loads too; the designs of 2026 do not. */
const LOAD_MONITORS = [
  { name: 'weight-load', states: WEIGHT_LOAD, resetState: 1 },
  { name: 'input-load', states: INPUT_LOAD, resetState: 1 },
] as const;
const [, ...SHARED_BUT_CONTROL] = SHARED;
const MONITORS_V4 = [
  { name: 'control-unit', states: CONTROL_UNIT_V4, resetState: 1 },
  ...SHARED_BUT_CONTROL,
  ...FOUR_LANES,
  { name: 'softmax-unit', states: SOFTMAX_UNIT, resetState: 0 },
] as const;

export type MonitorName = (
  | (typeof MONITORS_V1)[number]
  | (typeof MONITORS_V4)[number]
  | (typeof LOAD_MONITORS)[number]
)['name'];

/** The layouts that a revision was built with, the first first; a monitor's place in the list is its number. */
const MONITORS: Readonly<
  Record<CoreRevision, readonly { readonly layout: CounterLayout; readonly monitors: readonly Monitor[] }[]>
> = {
  v1: [{ layout: 'reset-first', monitors: MONITORS_V1 }],
  v3: [
    { layout: 'reset-first', monitors: [...SHARED, ...FOUR_LANES, ...LOAD_MONITORS] },
    { layout: 'reset-last', monitors: [...SHARED, ...FOUR_LANES] },
  ],
  v4: [{ layout: 'reset-last', monitors: MONITORS_V4 }],
};

/** The counters that a revision was built with, the earliest design first. */
export function counterDesigns(revision: CoreRevision) {
  return MONITORS[revision];
}

/** The monitors of a design; a monitor's place in the list is its number in the HWC window. */
export function monitorsOf(description: Pick<BoardDescription, 'revision' | 'hwc'>): readonly Monitor[] {
  return counterDesignOf(description).monitors;
}

/** @throws PynqLlmError DRIVER_BOARD_FILE_INVALID where the revision was never built with such counters */
export function counterDesignOf({ revision, hwc }: Pick<BoardDescription, 'revision' | 'hwc'>) {
  const designs = MONITORS[revision];
  if (hwc === undefined) return designs[0]!;
  const found = designs.find(
    ({ layout, monitors }) => layout === hwc.layout && monitors.length === hwc.monitors,
  );
  if (found) return found;
  const known = designs.map(({ layout, monitors }) => `${monitors.length} monitors in the layout ${layout}`);
  throw new PynqLlmError(
    'DRIVER_BOARD_FILE_INVALID',
    `A core ${revision} has ${known.join(' or ')}, not ${hwc.monitors} in the layout ${hwc.layout}.`,
    { context: { revision, layout: hwc.layout, monitors: hwc.monitors } },
  );
}

/** Names of the states of a unit that has a monitor or a status register. */
export function unitStates(revision: CoreRevision, unit: string): Monitor['states'] | undefined {
  return MONITORS[revision][0]!.monitors.find(({ name }) => name === unit)?.states;
}
