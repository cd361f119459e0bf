import { Q8K_BYTES } from '../../gguf/index.js';

const INPUT_WORDS = Q8K_BYTES / 4;
/** Words of an input block after which the loader pauses a cycle, as it does after the block. */
const QUANT_WORDS = 65;
/** Words between the load unit and the input loader. */
const QUEUE_WORDS = 16;

/**
 * The queue between the load unit and the input loader, word by word: each side takes or gives all that it can in one cycle, and
 * what the other did meanwhile it sees in the next. Words that have waited come through in bursts, up to 16 in two cycles.
 */
export class InputQueue {
  /** When the load unit took a word from the lane, when it could put it into the queue, and when the loader took it. */
  readonly #taken: number[] = [];
  readonly #queued: number[] = [];
  readonly #loaded: number[] = [];
  #now: number;
  /** The loader does nothing before. */
  #resumes: number;
  readonly #countTaken: number;
  readonly #words: number;
  readonly #arrival: (word: number) => number;

  /**
   * @param now when the load unit has the block count, which it puts into the queue
   * @param from when the loader takes it
   * @param arrival when a word was at the core; Infinity while it has not come
   */
  constructor(now: number, from: number, blocks: number, arrival: (word: number) => number) {
    this.#now = now;
    this.#countTaken = from;
    this.#resumes = from;
    this.#words = blocks * INPUT_WORDS;
    this.#arrival = arrival;
  }

  /** When the load unit takes a word that has come. */
  takenAt(word: number): number {
    return this.#until(this.#taken, word);
  }

  /** When the load unit is done with a word that has come. */
  queuedAt(word: number): number {
    return this.#until(this.#queued, word);
  }

  /** When the loader takes a word that has come. */
  loadedAt(word: number): number {
    return this.#until(this.#loaded, word);
  }

  #until(times: readonly number[], word: number): number {
    while (times.length <= word) this.#step();
    return times[word];
  }

  /** A cycle. The block count has a place in the queue until the loader takes it. */
  #step(): void {
    const now = this.#now++;
    const queued = this.#queued.length;
    const room = QUEUE_WORDS - (queued - this.#loaded.length) - (now <= this.#countTaken ? 1 : 0);
    this.#load(now, queued);
    this.#give(now, room);
    const next = this.#arrival(this.#taken.length);
    const isStill = this.#taken.length === this.#queued.length && this.#loaded.length === this.#queued.length;
    // Nothing moves before the next word comes.
    if (isStill && this.#taken.length < this.#words && Number.isFinite(next))
      this.#now = Math.max(this.#now, next);
  }

  #load(now: number, queued: number): void {
    while (now >= this.#resumes && this.#loaded.length < queued) {
      const place = this.#loaded.push(now) % INPUT_WORDS;
      if (place === 0 || place === QUANT_WORDS) this.#resumes = now + 1;
    }
  }

  /** The load unit holds one word while there is no room. */
  #give(now: number, room: number): void {
    let left = room;
    for (;;) {
      if (this.#queued.length < this.#taken.length) {
        if (left === 0) return;
        left--;
        this.#queued.push(now);
      } else if (this.#taken.length < this.#words && this.#arrival(this.#taken.length) <= now) {
        this.#taken.push(now);
      } else return;
    }
  }
}
