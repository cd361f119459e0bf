import type { Sample } from './sample.js';

/**
 * The most multiply-adds of a cycle: the SystemC model takes a super-block of 256 values in one, the synthesised core in 16
 * (and 30 cycles for each output).
 */
const PEAK_MULTIPLY_ADDS = { systemc: 256, synthesised: 16 } as const;

/** Hardware counters count modulo this. */
const COUNTER_RANGE = 2 ** 32;

/** A unit of the core between two samples. */
export interface UnitFigures {
  readonly name: string;
  readonly countedState: string;
  /** Part of the cycles that it was in that state. */
  readonly share: number;
  readonly stateNow: string;
}

/** What happened between two samples; rates are per second of the laptop's clock. */
export interface Figures {
  readonly seconds: number;
  readonly stepsPerSecond: number;
  readonly columnsPerSecond: number;
  /** Cycles of the board's clock, by a hardware counter where there is one that counts all. */
  readonly cycles: number;
  /** Part of these cycles that the core's work takes by the manual's formulas. */
  readonly coreBusy: number;
  readonly multiplyAddsPerCycle: number;
  /** What the core could take in a cycle at most, in the board's timing. */
  readonly peakMultiplyAdds: number;
  /** Of the peak. */
  readonly rooflineShare: number;
  readonly dmaBytesToDevicePerSecond: number;
  readonly dmaBytesFromDevicePerSecond: number;
  readonly dmaTransfersPerSecond: number;
  readonly registerAccessesPerSecond: number;
  readonly units: readonly UnitFigures[];
}

interface TimedClock {
  readonly clockHz: number;
  readonly timing: keyof typeof PEAK_MULTIPLY_ADDS;
}

/** @returns nothing where the device was not open all the time, or was opened anew in between */
export function figuresOf(before: Sample, now: Sample, { clockHz, timing }: TimedClock): Figures | undefined {
  if (before.device === undefined || now.device === undefined) return undefined;
  if (before.health.restarts !== now.health.restarts) return undefined;
  const seconds = (now.at - before.at) / 1000;
  const [from, to] = [before.device, now.device];
  const delta = (name: keyof typeof to.counters.traffic) =>
    to.counters.traffic[name] - from.counters.traffic[name];
  const counted = to.counters.counters.map(({ name, targetName, cycles, stateName }, i) => ({
    name,
    countedState: targetName,
    cycles: (cycles - (from.counters.counters[i]?.cycles ?? 0) + COUNTER_RANGE) % COUNTER_RANGE,
    stateNow: stateName,
  }));
  const cycles = counted.find(({ countedState }) => countedState === 'always')?.cycles ?? seconds * clockHz;
  const ofCycles = (part: number) => (cycles === 0 ? 0 : Math.min(1, part / cycles));
  const multiplyAddsPerCycle = cycles === 0 ? 0 : delta('multiplyAdds') / cycles;
  return {
    seconds,
    stepsPerSecond: (to.metrics.steps - from.metrics.steps) / seconds,
    columnsPerSecond: (to.metrics.columns - from.metrics.columns) / seconds,
    cycles,
    coreBusy: ofCycles(delta('coreCycles')),
    multiplyAddsPerCycle,
    peakMultiplyAdds: PEAK_MULTIPLY_ADDS[timing],
    rooflineShare: multiplyAddsPerCycle / PEAK_MULTIPLY_ADDS[timing],
    dmaBytesToDevicePerSecond: delta('dmaBytesToDevice') / seconds,
    dmaBytesFromDevicePerSecond: delta('dmaBytesFromDevice') / seconds,
    dmaTransfersPerSecond: delta('dmaTransfers') / seconds,
    registerAccessesPerSecond: (delta('registerReads') + delta('registerWrites')) / seconds,
    units: counted.map(({ cycles: part, ...unit }) => ({ ...unit, share: ofCycles(part) })),
  };
}
