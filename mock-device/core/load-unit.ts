import type { BoardDescription } from '../../board/index.js';
import { CORE_WORDS, type CoreType, Q8K_BYTES } from '../../gguf/index.js';
import { CORE_AREA, type CoreMemory } from '../core-memory.js';
import type { InputLane } from '../stream-lanes.js';
import type { Arithmetic } from './arithmetic.js';
import { Gather } from './gather.js';
import { InputQueue } from './input-queue.js';
import { Loader } from './loader.js';
import type { CoreTiming } from './timing.js';
import { blocksOfLane } from './weight-load.js';
import { lastWordTaken } from './weight-queue.js';

const INPUT_WORDS = Q8K_BYTES / 4;
/** So many words go through the queues before the loaders in one cycle, whatever came before. */
const FEW_WORDS = 12;

/** What the load unit works with. */
export interface LoadUnitParts {
  readonly description: BoardDescription;
  readonly memory: CoreMemory;
  readonly inputs: readonly InputLane[];
  readonly arithmetic: Arithmetic;
  readonly timing: CoreTiming;
  /** When a loader that becomes idle at a cycle looks for its next load. */
  readonly resumes: (idle: number) => number;
}

/** A load for which words lack. */
export interface Lacking {
  readonly lane: number;
  readonly words: number;
}

/**
 * The load unit: takes the words that a load's operands announce, one load at a time, and gives them to the loaders,
 * which unpack them. What does not fit the type hangs a loader, not the load unit.
 */
export class LoadUnit {
  readonly inputLoader = new Loader();
  readonly weightLoader = new Loader();
  readonly #gather: Gather;
  /** Super-blocks of the load at hand; of weights, their type if the core knows it. */
  #blocks = 0;
  #type: CoreType | undefined;
  #isOfWeights = false;
  /** Of inputs of which many have waited. */
  #inputQueue: InputQueue | undefined;
  /** Words that the blocks of a weight load have on each lane. */
  readonly #used: number[] = [];
  readonly #nothing: readonly number[];
  /** Cycle from which weights are taken. */
  #dataFrom = 0;
  /** The weight loader has words left over from a load that announced too many on some lanes: which. */
  #leftOver: string | undefined;
  readonly #parts: LoadUnitParts;

  constructor(parts: LoadUnitParts) {
    this.#parts = parts;
    this.#nothing = parts.inputs.map(() => 0);
    this.#gather = new Gather(parts.memory, parts.inputs);
  }

  /** Memory that loaded words may lie in is about to change. */
  keep(start: number, end: number): void {
    this.#gather.keep(start, end);
    this.#parts.arithmetic.keep(start, end);
  }

  /** A load that the weight loader could not follow, for people; undefined while all were well formed. */
  get badLoad(): string | undefined {
    return this.weightLoader.stuck ?? this.#leftOver;
  }

  /** The operands of LOAD_INP are there at `now`. */
  beginInputs(now: number, blocks: number): void {
    const { timing, resumes } = this.#parts;
    const loader = this.inputLoader;
    this.#isOfWeights = false;
    this.#blocks = blocks;
    const usual = timing.atInputLoader(now);
    const from = loader.begin(usual, resumes(loader.idle), blocks, (block) =>
      timing.atInputLoader(this.#gather.arrival(0, block * INPUT_WORDS)),
    );
    timing.inputs(now, from);
    const [lane] = this.#parts.inputs;
    const waiting = lane.available > 0 ? now - lane.arrival(0) : 0;
    const queue =
      timing.hasQueues && Math.max(waiting, from - usual) > FEW_WORDS
        ? new InputQueue(now, from, blocks, (word) => this.#gather.arrival(0, word))
        : undefined;
    this.#inputQueue = queue;
    const words = [blocks * INPUT_WORDS];
    this.#gather.begin(now, {
      needed: words,
      kept: words,
      place: CORE_AREA.gatheredInputs,
      lag: (word) => (queue === undefined ? timing.inputLag(word, from - usual) : queue.takenAt(word) - now),
    });
  }

  /**
   * The operands of LOAD_WGT are there at `now`.
   * @param announced words of each lane
   * @param type of the last CONFIG, any number
   * @param known the same if the core knows it
   */
  beginWeights(
    now: number,
    blocks: number,
    announced: readonly number[],
    type: number,
    known: CoreType | undefined,
  ): void {
    const { arithmetic, timing, resumes } = this.#parts;
    const loader = this.weightLoader;
    this.#isOfWeights = true;
    this.#blocks = blocks;
    this.#type = known;
    const unpacked = known === undefined ? 0 : blocks;
    const from = loader.begin(timing.atWeightLoader(now), resumes(loader.idle), unpacked, this.#writtenAt);
    for (let lane = 0; lane < announced.length; lane++) this.#used[lane] = this.#wordsOf(lane);
    this.#checkLengths(announced, type);
    this.#dataFrom = timing.weights(now, from);
    const isUsed = loader.stuck === undefined && known !== undefined;
    this.#gather.begin(this.#dataFrom, {
      needed: announced,
      kept: isUsed ? this.#used : this.#nothing,
      place: isUsed ? arithmetic.placeOfWeights() : CORE_AREA.gatheredInputs,
    });
  }

  /** Words that the blocks of the load at hand have on a lane. */
  #wordsOf(lane: number): number {
    if (this.#type === undefined) return 0;
    return blocksOfLane(this.#blocks, lane, this.#parts.inputs.length) * CORE_WORDS[this.#type];
  }

  /**
   * With too few words the weight loader waits for ever. Words that are left over it takes for the head of the next
   * load: at once where there are some on every lane, otherwise when that comes.
   */
  #checkLengths(announced: readonly number[], type: number): void {
    let lane = 0;
    while (lane < announced.length && announced[lane] === this.#used[lane]) lane++;
    if (lane === announced.length && this.#leftOver === undefined) return;
    const over = announced.map((words, its) => words - this.#used[its]);
    const why =
      this.#type === undefined
        ? `LOAD_WGT of type ${type}, which the bitstream was built without`
        : `LOAD_WGT of ${this.#blocks} blocks announces ${announced[lane]} words on lane ${'ABCD'[lane]}; they have ${this.#used[lane]}`;
    const waitsForHead = over.every((words) => words >= 0) && over.includes(0);
    if (this.#leftOver !== undefined || !waitsForHead) this.weightLoader.stick(this.#leftOver ?? why);
    else this.#leftOver = why;
  }

  /** When the first fields of a weight block are written: those of blocks side by side on the lanes together. */
  readonly #writtenAt = (block: number): number => {
    if (this.#type === undefined) return Number.POSITIVE_INFINITY;
    const lanes = this.#parts.inputs.length;
    const group = Math.floor(block / lanes);
    let written = this.weightLoader.from;
    for (let lane = 0; lane < Math.min(lanes, this.#blocks - group * lanes); lane++)
      written = Math.max(written, this.#atLoader(lane, group * CORE_WORDS[this.#type]));
    return written;
  };

  /** When the weight loader has a lane's word. */
  #atLoader(lane: number, word: number): number {
    return this.#parts.timing.atWeightLoader(this.#gather.arrival(lane, word));
  }

  /** Takes what has come. @returns what still lacks */
  take(): Lacking | undefined {
    const lane = this.#gather.take();
    return lane < 0 ? undefined : { lane, words: this.#gather.lack(lane) };
  }

  /** All words have come. @returns when the last of them is taken */
  finish(): number {
    const { timing } = this.#parts;
    const { lastAt } = this.#gather;
    if (!this.#isOfWeights) {
      const queue = this.#inputQueue;
      const arrival = (word: number): number =>
        queue?.loadedAt(word) ?? timing.atInputLoader(this.#gather.arrival(0, word));
      this.inputLoader.end(timing.endInputs(this.inputLoader.from, this.#blocks, arrival));
      if (queue !== undefined && this.#blocks > 0) return queue.queuedAt(this.#blocks * INPUT_WORDS - 1);
    } else if (this.weightLoader.stuck === undefined) {
      const { from } = this.weightLoader;
      const first = Math.max(from, timing.atWeightLoader(this.#dataFrom));
      const last = this.#blocks === 0 ? from : this.#lastUnpacked(from, first);
      this.weightLoader.end(timing.endWeights(first, this.#blocks, last, this.#type));
    }
    return lastAt;
  }

  /** When the weight loader takes the last word: at once, or where many have waited at the end of their bursts. */
  #lastUnpacked(from: number, first: number): number {
    const { timing, inputs } = this.#parts;
    const usual = timing.atWeightLoader(this.#gather.lastAt);
    const isLate = from - timing.atWeightLoader(this.#dataFrom) > FEW_WORDS;
    if (!timing.hasQueues || this.#type === undefined || !(isLate || this.#gather.isUneven(FEW_WORDS)))
      return usual;
    const load = {
      lanes: inputs.length,
      blocks: this.#blocks,
      wordsPerBlock: CORE_WORDS[this.#type],
      arrival: (lane: number, word: number) => this.#gather.arrival(lane, word),
    };
    return lastWordTaken(load, first);
  }

  /** The last word is taken at `now`: the core holds the load. @returns when the load unit goes on */
  settle(now: number): number {
    const { arithmetic, timing } = this.#parts;
    const { addresses } = this.#gather;
    if (!this.#isOfWeights) arithmetic.loadInputs(addresses[0], this.#blocks);
    else if (this.#type !== undefined && this.weightLoader.stuck === undefined)
      arithmetic.loadWeights(addresses, this.#type, this.#blocks);
    this.inputLoader.settle();
    this.weightLoader.settle();
    this.#gather.release();
    return this.#isOfWeights ? timing.weightsTaken(now) : now;
  }
}
