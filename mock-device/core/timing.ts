import type { CoreRevision } from '../../board/index.js';
import { type CoreType, Q8K_BYTES } from '../../gguf/index.js';
import type { Monitors, Span } from '../monitors.js';
import { UnitState } from './unit-state.js';

const INPUT_WORDS = Q8K_BYTES / 4;
/** Words of an input block up to its last quant: after it, and after the block, the input loader pauses a cycle. */
const QUANT_WORDS = 65;
/** Words between the load unit and the input loader. */
const INPUT_FIFO = 16;
/** Cycles that a word takes from the load unit to the unit that unpacks it. */
const TO_INPUT_LOADER = 1;
const TO_WEIGHT_LOADER = 2;
/** Results that wait for the store unit, which stores one a cycle; a computation with more ends so long before its last. */
const RESULT_FIFO = 16;
const BEFORE_LAST_STORED = 14;
/** Blocks that the weight loader unpacks together; it pauses two cycles after them. */
const BLOCKS_TOGETHER: Readonly<Record<CoreRevision, number>> = { v1: 1, v3: 4, v4: 4 };

/** Where the core stops: in the scheduler's start handshake, in the middle of a load, or of a SOFT_MAX. */
export type StoppedAt = 'start-handshake' | 'inputs' | 'weights' | 'softmax';

/** The course of a COMPUTE, in cycles. */
export interface ComputeCourse {
  /** The first product is taken. */
  readonly from: number;
  /** The computation is over: weights, inputs and type are no longer read. */
  readonly end: number;
  /** The last result is stored. */
  readonly stored: number;
  /** From one product of two super-blocks to the next, on average. */
  readonly perProduct: number;
}

/**
 * How long the core's units take, from step to step as the SystemC model does, and the states that the monitors show
 * meanwhile. Exact on all vectors, and on the model's streams in docs/mock-device.md.
 *
 * All times are cycles; words come one a cycle and lane, at the times that the lanes give.
 */
export class CoreTiming {
  /** Whether the queues before the weight loader are known, word by word. */
  readonly hasQueues: boolean = true;
  readonly control: UnitState;
  readonly loadUnit: UnitState;
  readonly scheduler: UnitState;
  readonly computation: UnitState;
  readonly weightLoad: UnitState;
  readonly inputLoad: UnitState;
  readonly softmax: UnitState;
  /** The stretch in which the weight transfers have not seen a first load; gone once they have. */
  #beforeFirstLoad: readonly (Span | undefined)[] | undefined;
  /** Cycle at which the store unit stored a COMPUTE's last result. */
  #stored = 0;

  readonly #revision: CoreRevision;
  readonly #monitors: Monitors;

  constructor(revision: CoreRevision, monitors: Monitors, now: number) {
    this.#revision = revision;
    this.#monitors = monitors;
    this.control = new UnitState(monitors, 'control-unit');
    this.loadUnit = new UnitState(monitors, 'load-unit');
    this.scheduler = new UnitState(monitors, 'scheduler');
    this.computation = new UnitState(monitors, 'compute');
    this.weightLoad = new UnitState(monitors, 'weight-load');
    this.inputLoad = new UnitState(monitors, 'input-load');
    this.softmax = new UnitState(monitors, 'softmax-unit', 0);
    this.#beforeFirstLoad = (['a', 'b', 'c', 'd'] as const).map((lane) =>
      monitors.add(`weight-transfer-${lane}`, 0, now, Number.POSITIVE_INFINITY),
    );
  }

  /** The control unit hands a load to the load unit. @returns when that asks for its first operand */
  beginLoads(now: number): number {
    this.control.enter(4, now);
    this.loadUnit.enter(2, now + 1);
    return now + 2;
  }

  /** The load unit is done with all of an instruction. @returns when the control unit goes on */
  endLoads(now: number): number {
    this.loadUnit.enter(1, now + 2);
    return now + 2;
  }

  /** When the input loader has what the load unit takes at `now`. */
  atInputLoader(now: number): number {
    return now + TO_INPUT_LOADER;
  }

  /** When the weight loader has what the load unit, or the lanes for it, take at `now`. */
  atWeightLoader(now: number): number {
    return now + TO_WEIGHT_LOADER;
  }

  /** The load unit has the block count of LOAD_INP. @param from when the input loader has it */
  inputs(now: number, from: number): void {
    this.loadUnit.enter(3, now);
    this.inputLoad.enter(2, from);
  }

  /**
   * Cycles after the block count at which the load unit can take a word of LOAD_INP at the earliest.
   * @param late cycles by which the input loader has the count later than usual
   */
  inputLag(word: number, late: number): number {
    const ahead = word - INPUT_FIFO;
    if (ahead < 0) return 0;
    return (
      late +
      TO_INPUT_LOADER +
      1 +
      2 * Math.floor(ahead / INPUT_WORDS) +
      (ahead % INPUT_WORDS >= QUANT_WORDS ? 1 : 0)
    );
  }

  /**
   * All words of LOAD_INP are there.
   * @param from when the input loader had the block count
   * @param arrival when the input loader had a word of the load
   * @returns when the input loader is idle
   */
  endInputs(from: number, blocks: number, arrival: (word: number) => number): number {
    let now = from;
    const spent = { waiting: 0, quants: 0, sums: 0 };
    for (let block = 0; block < blocks; block++) {
      const first = block * INPUT_WORDS;
      const scale = Math.max(now, arrival(first));
      const quants = Math.max(scale, arrival(first + QUANT_WORDS - 1));
      const sums = Math.max(quants + 1, arrival(first + INPUT_WORDS - 1));
      spent.waiting += scale - now;
      spent.quants += quants - scale;
      spent.sums += sums - quants;
      now = sums + 1;
    }
    const idle = now + 1;
    // Totals of the states are exact, their order is not: a load has three to four for each of its blocks.
    if (blocks > 0) {
      let at = from;
      for (const [state, cycles] of [
        [3, spent.waiting],
        [4, spent.quants],
        [5, spent.sums],
      ]) {
        if (cycles === 0) continue;
        this.inputLoad.enter(state, at);
        at += cycles;
      }
      this.inputLoad.enter(6, at);
    }
    this.inputLoad.enter(1, idle);
    return idle;
  }

  /**
   * The load unit has the header of LOAD_WGT.
   * @param from when the weight loader, which may be late, has its block count
   * @returns when the lanes begin to take data
   */
  weights(now: number, from: number): number {
    if (this.#beforeFirstLoad !== undefined) {
      for (const span of this.#beforeFirstLoad) if (span !== undefined) span.to = now + 1;
      this.#beforeFirstLoad = undefined;
    }
    this.loadUnit.enter(4, now);
    this.weightLoad.enter(2, from);
    return this.#revision === 'v1' ? now : now + 2;
  }

  /** All words of LOAD_WGT are taken, the last at `last`. @returns when the load unit has seen it */
  weightsTaken(last: number): number {
    return this.#revision === 'v1' ? last : last + 1;
  }

  /**
   * @param from when the weight loader could have the first words, and `last` when it had the last
   * @returns when it is idle
   */
  endWeights(from: number, blocks: number, last: number, _type: CoreType | undefined): number {
    const steps = Math.ceil(blocks / BLOCKS_TOGETHER[this.#revision]);
    const idle = steps === 0 ? last + 1 : Math.max(from + 2 * steps, last + 2) + 1;
    this.weightLoad.enter(1, idle);
    return idle;
  }

  /** A COMPUTE is issued. */
  issue(now: number): void {
    this.scheduler.enter(2, now + 1);
  }

  /** A COMPUTE is issued and the one before it over, both by `now`. @returns when it can start at the earliest */
  offerStart(now: number): number {
    this.scheduler.enter(31, now + 2);
    return now + 3;
  }

  /** The computation takes the start that it was offered. @returns when the scheduler is free again */
  start(now: number): number {
    this.scheduler.enter(32, now + 1);
    this.scheduler.enter(4, now + 3);
    this.scheduler.enter(1, now + 4);
    return now + 4;
  }

  /** The course of the COMPUTE that took its start at `now`. */
  compute(now: number, rows: number, columns: number, kb: number): ComputeCourse {
    const from = now + 4;
    const results = rows * columns;
    const lastResult = from + (kb === 0 ? Math.max(0, results - 1) : results * kb);
    const stored = results === 0 ? this.#stored : Math.max(lastResult, this.#stored + results);
    const computed = from + results * kb;
    const end = results > RESULT_FIFO ? Math.max(computed, stored - BEFORE_LAST_STORED) : computed;
    this.#stored = stored;
    this.computation.enter(2, from);
    this.computation.enter(3, end);
    this.computation.enter(1, end + 1);
    return { from, end, stored, perProduct: 1 };
  }

  /** The control unit hands a tile to the SOFT_MAX unit and waits for it. */
  beginSoftmax(now: number): void {
    this.control.enter(7, now);
    this.softmax.enter(1, now);
  }

  endSoftmax(now: number): void {
    this.softmax.enter(0, now);
  }

  /** The core stops for good. */
  stop(now: number, where: StoppedAt): void {
    this.#monitors.stop();
    for (const unit of [
      this.control,
      this.loadUnit,
      this.scheduler,
      this.computation,
      this.weightLoad,
      this.inputLoad,
      this.softmax,
    ])
      unit.forget();
    if (where === 'start-handshake') {
      this.scheduler.enter(31, now);
      return;
    }
    if (where === 'softmax') {
      this.beginSoftmax(now);
      return;
    }
    this.control.enter(4, now);
    this.loadUnit.enter(where === 'inputs' ? 3 : 4, now);
  }
}
