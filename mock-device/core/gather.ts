import type { Clock } from '../clock.js';
import type { PhysicalMemory } from '../physical-memory.js';
import type { InputLane } from '../stream-lanes.js';
import type { LoadTiming } from './timing.js';
import type { LaneWords } from './weight-load.js';

/** A lane's words while they come. */
interface GatheredLane extends LaneWords {
  at: number;
  copies: Uint8Array[] | undefined;
  needed: number;
  remaining: number;
  /** Cycle from which the lane can go on. */
  ready: number;
}

/** Takes the words of one load from its lanes, however they are split over transfers. One object serves all loads. */
export class Gather {
  readonly #lanes: readonly GatheredLane[];
  #timing: LoadTiming = { dataFrom: 0, cycles: 0, after: 0, stretched: [] };
  /** Lanes of the load at hand; 0 while there is none. */
  #count = 0;
  #end = 0;
  #lastAt = 0;
  readonly #clock: Clock;
  readonly #memory: PhysicalMemory;
  readonly #inputs: readonly InputLane[];

  constructor(clock: Clock, memory: PhysicalMemory, inputs: readonly InputLane[]) {
    this.#clock = clock;
    this.#memory = memory;
    this.#inputs = inputs;
    this.#lanes = inputs.map(() => ({ at: 0, copies: undefined, needed: 0, remaining: 0, ready: 0 }));
  }

  /**
   * A load begins.
   * @param count lanes that bring words, from lane A on
   * @param wordsOf words of a lane
   */
  begin(now: number, timing: LoadTiming, count: number, wordsOf: (lane: number) => number): void {
    this.#timing = timing;
    this.#count = count;
    this.#end = now + timing.cycles;
    this.#lastAt = timing.dataFrom;
    for (let lane = 0; lane < count; lane++) {
      const gathered = this.#lanes[lane];
      gathered.at = 0;
      gathered.copies = undefined;
      gathered.needed = wordsOf(lane);
      gathered.remaining = gathered.needed;
      gathered.ready = timing.dataFrom;
    }
  }

  /** Takes what has come. @returns the last lane that lacks words, or -1 when all are there */
  take(): number {
    let lacking = -1;
    for (let index = 0; index < this.#count; index++) {
      const lane = this.#lanes[index];
      const words = Math.min(lane.remaining, this.#inputs[index].available);
      if (words > 0) this.#takeOf(lane, this.#inputs[index], words);
      if (lane.remaining > 0) lacking = index;
    }
    if (lacking >= 0)
      for (const span of this.#timing.stretched) if (span !== undefined) span.to = Number.POSITIVE_INFINITY;
    return lacking;
  }

  #takeOf(lane: GatheredLane, input: InputLane, words: number): void {
    lane.ready = Math.max(lane.ready, this.#clock.now) + words;
    this.#lastAt = Math.max(this.#lastAt, lane.ready);
    lane.at = input.take(words, lane.ready);
    lane.remaining -= words;
    // Words of a transfer that brings only a part may change once it is complete.
    if (words < lane.needed) {
      lane.copies ??= [];
      lane.copies.push(this.#memory.bytes.slice(lane.at, lane.at + words * 4));
    }
  }

  /** Memory that the taken words of a load may lie in is about to change: it goes on without that memory. */
  keep(start: number, end: number): void {
    for (let index = 0; index < this.#count; index++) {
      const lane = this.#lanes[index];
      const laneEnd = lane.at + lane.needed * 4;
      const isInPlace = lane.copies === undefined && lane.remaining === 0;
      if (isInPlace && lane.at < end && start < laneEnd)
        lane.copies = [this.#memory.bytes.slice(lane.at, laneEnd)];
    }
  }

  /** Words that a lane still lacks. */
  lack(lane: number): number {
    return this.#lanes[lane].remaining;
  }

  /** All words are there: the units' states last as long as the load did. @returns the cycle at which the load ends */
  finish(): number {
    const { after, stretched } = this.#timing;
    const late = Math.max(0, this.#lastAt + after - this.#end);
    for (const span of stretched) if (span !== undefined) span.to = span.plannedEnd + late;
    this.#count = 0;
    return this.#end + late;
  }

  /** What came, by lane. */
  get words(): readonly LaneWords[] {
    return this.#lanes;
  }
}
