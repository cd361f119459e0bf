import { z } from 'zod';
import { count, float, uint32 } from './common.js';

/** Running totals of what crossed the Board seam since the device was opened; see driver/traffic.ts. */
export interface WireTraffic {
  /** Registers read, one bus transaction each. */
  readonly registerReads: number;
  /** Registers written, one bus transaction each. */
  readonly registerWrites: number;
  /** DMA transfers that were started. */
  readonly dmaTransfers: number;
  /** Bytes of these transfers, in both directions. */
  readonly dmaBytes: number;
  /** Bytes of them that went to the device. */
  readonly dmaBytesToDevice: number;
  /** Bytes of them that came from the device. */
  readonly dmaBytesFromDevice: number;
  /** Matrix multiplications on the core. */
  readonly matMuls: number;
  /** Tiles that these were made of. */
  readonly tiles: number;
  /** Multiply-adds of these, M * N * K each. */
  readonly multiplyAdds: number;
  /** Cycles of the core that these take by the manual's formulas. */
  readonly coreCycles: number;
}
export const traffic: z.ZodType<WireTraffic> = z.object({
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

/** A hardware counter. */
export interface CounterValue {
  /** The monitored unit, such as `compute`. */
  readonly name: string;
  /** Number of the state whose cycles are counted. */
  readonly target: number;
  /** Name of that state. */
  readonly targetName: string;
  /** Cycles in that state since the last reset, modulo 2^32. */
  readonly cycles: number;
  /** Number of the state that the unit is in now. */
  readonly state: number;
  /** Name of that state. */
  readonly stateName: string;
}
export const counterValue: z.ZodType<CounterValue> = z.object({
  name: z.string(),
  target: uint32,
  targetName: z.string(),
  cycles: uint32,
  state: uint32,
  stateName: z.string(),
});

/** What the board counted. */
export interface CounterReading {
  /** Empty where the design has no hardware counters. */
  readonly counters: CounterValue[];
  /** Since the device was opened. */
  readonly traffic: WireTraffic;
}
export const countersReadResult: z.ZodType<CounterReading> = z.object({
  counters: z.array(counterValue),
  traffic,
});

export const countersSetTargetsParams = z.strictObject({
  /** State to count by the name of the monitored unit: its number or its name. */
  targets: z.record(z.string().max(64), z.union([uint32, z.string().max(64)])),
});

/** One step of the engine. */
export interface StepEvent {
  /** Number of the step since the device was opened. */
  readonly step: number;
  /** Events that were left out before this one because the client was not reading. */
  readonly dropped: number;
  /** Milliseconds that it took. */
  readonly durationMs: number;
  /** Tokens produced in it. */
  readonly tokens: number;
  /** What it cost by itself. */
  readonly traffic: WireTraffic;
}
export const stepEvent: z.ZodType<StepEvent> = z.object({
  step: count,
  dropped: count,
  durationMs: float,
  tokens: count,
  traffic,
});
