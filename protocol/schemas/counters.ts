import { z } from 'zod';
import { count, float, uint32 } from './common.js';

/** Running totals of what crossed the Board seam since the device was opened; see driver/traffic.ts. */
export const traffic = z.object({
  registerReads: count,
  registerWrites: count,
  dmaTransfers: count,
  dmaBytes: count,
  dmaBytesToDevice: count,
  dmaBytesFromDevice: count,
  matMuls: count,
  tiles: count,
  multiplyAdds: count,
  coreCycles: count,
});

export const counterValue = z.object({
  /** The monitored unit, such as `compute`. */
  name: z.string(),
  /** The state whose cycles are counted: its number and its name. */
  target: uint32,
  targetName: z.string(),
  /** Cycles in that state since the last reset, modulo 2^32. */
  cycles: uint32,
  /** State of the unit now: its number and its name. */
  state: uint32,
  stateName: z.string(),
});
/** @interface */
export type CounterValue = z.output<typeof counterValue>;
export const countersReadResult = z.object({
  /** Empty where the design has no hardware counters. */
  counters: z.array(counterValue),
  traffic,
});
/** @interface */
export type CounterReading = z.output<typeof countersReadResult>;

export const countersSetTargetsParams = z.strictObject({
  /** State to count by the name of the monitored unit: its number or its name. */
  targets: z.record(z.string().max(64), z.union([uint32, z.string().max(64)])),
});

/** One step of the engine. */
export const stepEvent = z.object({
  /** Number of the step since the device was opened. */
  step: count,
  /** Events that were left out before this one because the client was not reading. */
  dropped: count,
  durationMs: float,
  /** Tokens produced in this step. */
  tokens: count,
  /** What the step itself cost. */
  traffic,
});
/** @interface */
export type StepEvent = z.output<typeof stepEvent>;
