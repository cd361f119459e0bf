import type { CoreMemory } from '../core-memory.js';
import type { InputLane } from '../stream-lanes.js';

/** Words of a load that one transfer brought, from the word `first` of the load on. */
interface Piece {
  readonly first: number;
  /** Cycle at which its first word was at the core; the others follow one a cycle. */
  readonly arrived: number;
}

/** A lane's words while they come. */
interface GatheredLane {
  /** Where they lie in the kernels' address space: where the DMA found them, or at `place`. */
  at: number;
  place: number;
  needed: number;
  /** How many of them are used: the first ones. */
  kept: number;
  remaining: number;
  readonly pieces: Piece[];
}

/** What a load takes from its lanes. */
export interface GatheredLoad {
  /** Words that each lane brings, from lane A on. */
  readonly needed: readonly number[];
  /** How many of them are used, the first ones; the others are taken and forgotten. */
  readonly kept: readonly number[];
  /** Where words go, in the kernels' address space, that do not lie there in one piece. */
  readonly place: number;
  /** Cycles after the first that could be taken by which a word is taken at the earliest. */
  readonly lag?: (word: number) => number;
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
  readonly #memory: CoreMemory;
  readonly #inputs: readonly InputLane[];
  /** Where the lanes' words lie. */
  readonly #addresses: number[];

  constructor(memory: CoreMemory, inputs: readonly InputLane[]) {
    this.#memory = memory;
    this.#inputs = inputs;
    this.#lanes = inputs.map(() => ({ at: 0, place: 0, needed: 0, kept: 0, remaining: 0, pieces: [] }));
    this.#addresses = inputs.map(() => 0);
  }

  /** A load begins. @param from cycle from which its words can be taken */
  begin(from: number, { needed, kept, place, lag = NO_LAG }: GatheredLoad): void {
    this.#count = needed.length;
    this.#from = from;
    this.#lastAt = from;
    this.#lag = lag;
    let next = place;
    for (let lane = 0; lane < needed.length; lane++) {
      const gathered = this.#lanes[lane];
      gathered.at = next;
      gathered.place = next;
      gathered.needed = needed[lane];
      gathered.kept = Math.min(kept[lane], needed[lane]);
      gathered.remaining = gathered.needed;
      next += gathered.kept * 4;
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
    const { source } = input;
    const at = input.take(words, takenAt);
    // Words of a transfer that brings only a part may change once it is complete.
    if (words === lane.needed && source === this.#memory.words) lane.at = at;
    else if (first < lane.kept)
      this.#memory.gather(source, at, lane.place + first * 4, Math.min(words, lane.kept - first));
  }

  /** Memory that the taken words of a load may lie in is about to change: it goes on without that memory. */
  keep(start: number, end: number): void {
    for (let index = 0; index < this.#count; index++) {
      const lane = this.#lanes[index];
      if (lane.at === lane.place || lane.at >= end || start >= lane.at + lane.kept * 4) continue;
      this.#memory.gather(this.#memory.words, lane.at, lane.place, lane.kept);
      lane.at = lane.place;
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

  /** Where what came lies in the kernels' address space, by lane. */
  get addresses(): readonly number[] {
    for (let lane = 0; lane < this.#count; lane++) this.#addresses[lane] = this.#lanes[lane].at;
    return this.#addresses;
  }

  /** The load has been put where it belongs. */
  release(): void {
    this.#count = 0;
  }
}
