import type { CoreRevision } from '../../board/index.js';
import { Q8K_BYTES } from '../../gguf/index.js';
import type { Monitors, Span } from '../monitors.js';

const INPUT_WORDS = Q8K_BYTES / 4;

/** Cycles from the beginning of a LOAD_WGT's data to the end of the instruction's load, besides the words. */
const AFTER_WEIGHTS: Readonly<Record<CoreRevision, number>> = { v1: 1, v3: 6, v4: 6 };
/** Cycles after the opcode before weights flow: the control unit waits 7 and the load unit starts. */
const BEFORE_WEIGHTS = 9;

/**
 * How many cycles each instruction takes and in which state each unit spends them. The totals and the split into
 * states are the manual's ("Cycle counts"), exact on all vectors; the order of the states inside an instruction is
 * this file's choice.
 *
 * The manual settles the stream CONFIG|LOAD_INP once, then LOAD_WGT and COMPUTE per tile. Where it settles nothing:
 * - an instruction is one cycle of decoding, its parts one after the other, and one cycle of ending, so an opcode
 *   without parts (a no-op) takes 2 cycles and CONFIG alone 7;
 * - a LOAD_WGT counts as a first tile when it is the first since a LOAD_INP;
 * - the header of a LOAD_WGT is a transfer of its own when no word of lane A follows it at once;
 * - zero steps and kb = 0 compute nothing and take the 10 cycles around a computation; a repeated COMPUTE costs the
 *   same as the first and starts when the one before has ended;
 * - words that come late delay the end of a load by the time they are late.
 */
export class CoreTiming {
  /** No LOAD_WGT since the last LOAD_INP. */
  #firstTile = true;
  /** The span in which the weight transfers have not seen a first load; gone once they have. */
  #beforeFirstLoad: readonly (Span | undefined)[] | undefined;

  readonly #revision: CoreRevision;
  readonly #monitors: Monitors;

  constructor(revision: CoreRevision, monitors: Monitors, now: number) {
    this.#revision = revision;
    this.#monitors = monitors;
    this.#beforeFirstLoad = (['a', 'b', 'c', 'd'] as const).map((lane) =>
      monitors.add(`weight-transfer-${lane}`, 0, now, Number.POSITIVE_INFINITY),
    );
  }

  /** @returns cycles of fetching and decoding an opcode */
  decode(now: number): number {
    this.#monitors.add('control-unit', 2, now, 1);
    return 1;
  }

  /** @returns cycles of the end of an instruction without COMPUTE */
  end(now: number): number {
    this.#monitors.add('control-unit', 6, now, 1);
    return 1;
  }

  config(now: number): number {
    this.#monitors.add('control-unit', 3, now, 5);
    return 5;
  }

  inputs(now: number, blocks: number): LoadTiming {
    this.#firstTile = true;
    const words = INPUT_WORDS * blocks;
    const cycles = words + 1;
    const waiting = this.#monitors.add('control-unit', 4, now, cycles);
    this.#monitors.add('load-unit', 2, now, 1);
    const loading = this.#monitors.add('load-unit', 3, now + 1, words);
    if (blocks > 0) {
      const quants = 64 * blocks - 2;
      this.#monitors.add('input-load', 4, now + 1, quants);
      this.#monitors.add('input-load', 5, now + 1 + quants, 8 * blocks);
      this.#monitors.add('input-load', 6, now + 1 + quants + 8 * blocks, blocks + 1);
    }
    return { dataFrom: now + 1, cycles, after: 0, stretched: [waiting, loading] };
  }

  /**
   * @param words of the longest lane; on v1 of all blocks
   * @param headerAlone the header was a transfer of its own
   */
  weights(now: number, words: number, headerAlone: boolean): LoadTiming {
    const first = this.#firstTile;
    this.#firstTile = false;
    if (this.#beforeFirstLoad !== undefined) {
      for (const span of this.#beforeFirstLoad) if (span !== undefined) span.to = now + BEFORE_WEIGHTS;
      this.#beforeFirstLoad = undefined;
    }
    const v1 = this.#revision === 'v1';
    const extra = headerAlone ? (v1 ? (first ? 7 : 5) : first ? 3 : 2) : 0;
    const wait = words + (v1 ? 3 : 8) + extra;
    const starting = v1 || first ? 2 : 3;
    const loaded = v1
      ? words + (headerAlone ? 4 : first ? -3 : -1)
      : words + (headerAlone ? 5 : first ? 2 : 3);
    const waiting = this.#monitors.add('control-unit', 4, now + 7, wait);
    this.#monitors.add('load-unit', 2, now + 7, starting);
    const loading = this.#monitors.add('load-unit', 4, now + 7 + starting, loaded);
    const transferring = this.#monitors.add('weight-load', 2, now + 7 + starting, loaded);
    return {
      dataFrom: now + BEFORE_WEIGHTS,
      cycles: 7 + wait,
      after: AFTER_WEIGHTS[this.#revision] + extra,
      stretched: [waiting, loading, transferring],
    };
  }

  /**
   * @param products super-block products: rows * columns * kb
   * @returns cycles until the last result is stored; `computing` lasts longer if nothing takes the results
   */
  compute(now: number, products: number): { cycles: number; computing: Span | undefined } {
    this.#monitors.add('control-unit', 2, now, 3);
    this.#monitors.add('control-unit', 5, now + 3, 1);
    this.#monitors.add('control-unit', 6, now + 4, 1);
    this.#monitors.add('scheduler', 2, now + 3, 1);
    this.#monitors.add('scheduler', 31, now + 4, 2);
    this.#monitors.add('scheduler', 32, now + 6, 2);
    this.#monitors.add('scheduler', 4, now + 8, 1);
    const computing = this.#monitors.add('compute', 2, now + 8, products);
    this.#monitors.add('compute', 3, now + 8 + products, 1);
    return { cycles: products + 9, computing };
  }

  /** The core stops for good: in the scheduler's start handshake, or in the middle of a load. */
  stop(now: number, where: 'start-handshake' | 'inputs' | 'weights'): void {
    this.#monitors.stop();
    if (where === 'start-handshake') {
      this.#monitors.add('scheduler', 31, now, Number.POSITIVE_INFINITY);
      return;
    }
    this.#monitors.add('control-unit', 4, now, Number.POSITIVE_INFINITY);
    this.#monitors.add('load-unit', where === 'inputs' ? 3 : 4, now, Number.POSITIVE_INFINITY);
  }
}

/** A load's course: words flow from `dataFrom`, one a cycle and lane, and the load ends `after` the last of them. */
export interface LoadTiming {
  readonly dataFrom: number;
  /** When all words are there in time. */
  readonly cycles: number;
  readonly after: number;
  /** Spans that last as long as the load does; undefined for units that the revision lacks. */
  readonly stretched: readonly (Span | undefined)[];
}
