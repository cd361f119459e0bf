import type { PhysicalMemory } from '../physical-memory.js';
import type { InputLane } from '../stream-lanes.js';
import type { LaneWords } from './weight-load.js';

/** Words of a load that one transfer brought, from the word `first` of the load on. */
interface Piece {
  readonly first: number;
  /** Cycle at which its first word was at the core; the others follow one a cycle. */
  readonly arrived: number;
}

/** A lane's words while they come. */
interface GatheredLane extends LaneWords {
  at: number;
  copies: Uint8Array[] | undefined;
  needed: number;
  remaining: number;
  readonly pieces: Piece[];
}

/** What a load takes from its lanes. */
export interface GatheredLoad {
  /** Lanes that bring words, from lane A on. */
  readonly lanes: number;
  readonly wordsOf: (lane: number) => number;
  /** Cycles after the first that could be taken by which a word is taken at the earliest. */
  readonly lag?: (word: number) => number;
  /** The words are taken and forgotten. */
  readonly swallow?: boolean;
}

const NO_LAG = (): number => 0;

/** Takes the words of one load from its lanes, however they are split over transfers. One object serves all loads. */
export class Gather {
  readonly #lanes: readonly GatheredLane[];
  /** Lanes of the load at hand; 0 while there is none. */
  #count = 0;
  /** Cycle from which words are taken, and at which the last was. */
  #from = 0;
  #lastAt = 0;
  #lag: (word: number) => number = NO_LAG;
  #swallow = false;
  readonly #memory: PhysicalMemory;
  readonly #inputs: readonly InputLane[];

  constructor(memory: PhysicalMemory, inputs: readonly InputLane[]) {
    this.#memory = memory;
    this.#inputs = inputs;
    this.#lanes = inputs.map(() => ({ at: 0, copies: undefined, needed: 0, remaining: 0, pieces: [] }));
  }

  /** A load begins. @param from cycle from which its words can be taken */
  begin(from: number, { lanes, wordsOf, lag = NO_LAG, swallow = false }: GatheredLoad): void {
    this.#count = lanes;
    this.#from = from;
    this.#lastAt = from;
    this.#lag = lag;
    this.#swallow = swallow;
    for (let lane = 0; lane < lanes; lane++) {
      const gathered = this.#lanes[lane];
      gathered.at = 0;
      gathered.copies = undefined;
      gathered.needed = wordsOf(lane);
      gathered.remaining = gathered.needed;
      // Setting the length gives the array's memory back, and it is needed again at once.
      while (gathered.pieces.pop() !== undefined);
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
    return lacking;
  }

  #takeOf(lane: GatheredLane, input: InputLane, words: number): void {
    const first = lane.needed - lane.remaining;
    lane.pieces.push({ first, arrived: input.arrival(0) });
    lane.remaining -= words;
    const last = first + words - 1;
    const takenAt = Math.max(input.arrival(words - 1), this.#from + this.#lag(last));
    this.#lastAt = Math.max(this.#lastAt, takenAt);
    lane.at = input.take(words, takenAt);
    // Words of a transfer that brings only a part may change once it is complete.
    if (words < lane.needed && !this.#swallow) {
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

  /** Cycle at which a lane's word was at the core and could be taken; Infinity while it has not come. */
  arrival(lane: number, word: number): number {
    const { pieces, needed, remaining } = this.#lanes[lane];
    if (word >= needed - remaining) return Number.POSITIVE_INFINITY;
    let i = pieces.length - 1;
    while (pieces[i].first > word) i--;
    return Math.max(this.#from, pieces[i].arrived + word - pieces[i].first);
  }

  /**
   * Whether words of the load came otherwise than one a cycle on lane A, with those of other lanes no later: more than
   * `few` of lane A waited until they could be taken, or another lane lags behind.
   */
  isUneven(few: number): boolean {
    const [first] = this.#lanes;
    if (first.pieces.length > 0 && this.#from - first.pieces[0].arrived > few) return true;
    for (let lane = 1; lane < this.#count; lane++)
      for (const { first: word } of this.#lanes[lane].pieces)
        if (this.arrival(lane, word) > this.arrival(0, word)) return true;
    return false;
  }

  /** Cycle at which the last word so far was taken. */
  get lastAt(): number {
    return this.#lastAt;
  }

  /** What came, by lane. */
  get words(): readonly LaneWords[] {
    return this.#lanes;
  }

  /** The load has been put where it belongs. */
  release(): void {
    this.#count = 0;
  }
}
