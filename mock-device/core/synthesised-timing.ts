import { computeCounter, type TimedCore, unpackWait } from '../../board/index.js';
import { CORE_WORDS, type CoreType, Q8K_BYTES } from '../../gguf/index.js';
import type { Monitors } from '../monitors.js';
import { type ComputeCourse, CoreTiming } from './timing.js';

const INPUT_WORDS = Q8K_BYTES / 4;
/** Cycles of an input block in which no word is taken, beyond those of the SystemC model. */
const PAUSES = 4;
/** Words of LOAD_INP that have arrived when the load unit begins to take them. */
const ARRIVED = 2;
/** Cycles by which the load unit of the synthesised core is done later than the SystemC model's. */
const LATER = 7;
/** Cycles of a weight load that the load unit's monitor shows besides its words. */
const AROUND_WORDS = 9;
/** Cycles from a load's last word within which the COMPUTE of the tile can start at the earliest, sent with it or right behind. */
const AT_ONCE = 32;
/** Cycles of the scheduler in its state 4, and of the computation in its state 3. */
const SCHEDULER_ENDS = 8;
const COMPUTE_ENDS = 3;

/**
 * The cycles of the core as it was synthesised in 2026. How long it computes is exact on hardware; the rest is a model: words
 * come as in the SystemC model, loads end later, and a COMPUTE waits for the unpacker in the scheduler's start
 * handshake. Where hardware was never asked:
 * - words that come late do not delay the unpacker;
 * - SOFT_MAX, and the monitors of loads that the designs of 2026 lack, are as in the SystemC model.
 */
export class SynthesisedTiming extends CoreTiming {
  override readonly hasQueues = false;
  readonly #core: TimedCore;
  /** v4's control unit takes a clock more for the inputs and for each tile. */
  readonly #extra: number;
  /** When the header of the last weight load was there, its last word taken, and its load unit idle. */
  #headerAt = 0;
  #lastWord = Number.NEGATIVE_INFINITY;
  #loadUnitIdle: number | undefined;
  /** Cycles that the unpacker has still to do then, until a COMPUTE has waited for them. */
  #unpacking = 0;

  constructor(core: TimedCore, monitors: Monitors, now: number) {
    super(core.revision, monitors, now);
    this.#core = core;
    this.#extra = core.revision === 'v4' ? 1 : 0;
  }

  override inputLag(word: number, late: number): number {
    return late + word - ARRIVED + Math.ceil((PAUSES * (word + 1)) / INPUT_WORDS) + this.#extra;
  }

  override weights(now: number, from: number): number {
    this.#headerAt = now;
    return super.weights(now, from);
  }

  override endWeights(from: number, blocks: number, last: number, type: CoreType | undefined): number {
    const words = type === undefined ? 0 : Math.ceil(blocks / 4) * CORE_WORDS[type];
    this.#lastWord = last;
    this.#loadUnitIdle = Math.max(last + 1, this.#headerAt + words + AROUND_WORDS);
    this.#unpacking = type === undefined ? 0 : unpackWait(this.#core, type, blocks);
    return super.endWeights(from, blocks, last, type);
  }

  override weightsTaken(last: number): number {
    return super.weightsTaken(last) + LATER;
  }

  override endLoads(now: number): number {
    if (this.#loadUnitIdle !== undefined) this.loadUnit.enter(1, this.#loadUnitIdle);
    this.#loadUnitIdle = undefined;
    return super.endLoads(now);
  }

  override offerStart(now: number): number {
    const earliest = super.offerStart(now) + this.#extra;
    const unpackedMeanwhile = Math.max(0, earliest - this.#lastWord - AT_ONCE);
    const wait = Math.max(0, this.#unpacking - unpackedMeanwhile);
    this.#unpacking = 0;
    return earliest + wait;
  }

  override start(now: number): number {
    const free = super.start(now);
    this.scheduler.enter(4, free);
    this.scheduler.enter(1, free - 1 + SCHEDULER_ENDS);
    return free;
  }

  override compute(now: number, rows: number, columns: number, kb: number): ComputeCourse {
    const from = now + 4;
    const cycles = rows * columns === 0 ? 0 : computeCounter(this.#core, kb, rows, columns);
    const end = from + cycles;
    this.computation.enter(2, from);
    this.computation.enter(3, end);
    this.computation.enter(1, end + COMPUTE_ENDS);
    return { from, end, stored: end, perProduct: kb === 0 ? 0 : cycles / (rows * columns * kb) };
  }
}
