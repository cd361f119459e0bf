import type { Clock } from './clock.js';

/** Cycles from the start of a transfer to the core until the core can take its first word. */
const FIRST_WORD = 2;
/** Cycles from the last word of a transfer that the core takes to the transfer's end. */
const AFTER_LAST_WORD = 1;
/** Cycles from a result to when a transfer to memory takes it, at the earliest. */
const TO_TRANSFER = 2;
/** Cycles from the last word of a packet that a transfer takes to the transfer's end. */
const AFTER_PACKET = 2;
/** Words that wait on their way out; with more, the core holds its results. */
const RESULT_WORDS = 563_840;

const NOTHING = new Int32Array();

/** One lane's stream of words into the core. Transfers follow each other without a seam: only the words count. */
export class InputLane {
  /** Whether a transfer runs; then its words that the core may take, the memory that they are in, and their offset there. */
  #running = false;
  #words = 0;
  #source: Int32Array = NOTHING;
  #at = 0;
  /** Cycle from which the core can take the next of its words. */
  #arrival = 0;
  /** Cycle at which the transfer is complete. */
  #endsAt = 0;
  /** Called when words arrive. */
  onWords: () => void = () => {};
  /** Called when a transfer is complete. */
  onCompleted: () => void = () => {};

  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The memory that a transfer's words are in. */
  get source(): Int32Array {
    return this.#source;
  }

  /** Words that a transfer offers now. */
  get available(): number {
    return this.#words;
  }

  /** The word `index` places ahead, or undefined while it has not come. */
  peek(index: number): number | undefined {
    return index < this.#words ? this.#source[this.#at / 4 + index] >>> 0 : undefined;
  }

  /** Cycle from which the core can take the word `index` places ahead: they come one a cycle. */
  arrival(index: number): number {
    return this.#arrival + index;
  }

  /**
   * Takes words in one piece.
   * @param words at most `available`
   * @param lastAt cycle at which the last of them is taken: after the transfer's last word the transfer completes
   * @returns where they lie, as an offset in bytes in `source`
   */
  take(words: number, lastAt: number): number {
    if (words > this.#words) throw new RangeError('more words taken than offered');
    const at = this.#at;
    this.#at += words * 4;
    this.#arrival += words;
    this.#words -= words;
    if (this.#words === 0) {
      this.#endsAt = lastAt + AFTER_LAST_WORD;
      this.#clock.at(this.#endsAt, this.#end);
    }
    return at;
  }

  /** Of a transfer that was aborted, nothing comes; the next one may have begun by then. */
  readonly #end = (): void => {
    if (!this.#running || this.#words > 0 || this.#clock.now < this.#endsAt) return;
    this.#running = false;
    this.onCompleted();
  };

  /** A transfer of `words` words starts, from an offset in bytes of a memory. */
  offer(source: Int32Array, at: number, words: number): void {
    this.#running = true;
    this.#source = source;
    this.#at = at;
    this.#arrival = this.#clock.now + FIRST_WORD;
    this.#words = words;
    this.onWords();
  }

  /** The transfer was aborted: what the core has not taken is lost. */
  abort(): void {
    this.#running = false;
    this.#words = 0;
  }
}

/** A running transfer to memory. */
export interface Room {
  /**
   * Puts words behind those that came before; too many of them are noticed in `finish`.
   * @param at where they lie in `source`, and how many, in words
   */
  store(source: Int32Array, at: number, words: number): void;
  /** The words so far are all there. @param last whether TLAST came with the last of them */
  finish(last: boolean): void;
}

/** Words that came out of the core in one go and wait. */
interface Packet {
  readonly words: Int32Array;
  readonly last: boolean;
  /** Cycle at which the core put out the last of them. */
  readonly storedAt: number;
}

/** One lane's stream of words out of the core: they wait in order until a transfer takes them. */
export class OutputLane {
  #room: Room | undefined;
  #openedAt = 0;
  #waiting: Packet[] = [];
  #waitingWords = 0;
  /** Cycle at which the packet that the room has taken is complete; undefined when it has none. */
  #completeAt: number | undefined;
  #packetIsLast = false;
  /** Called when a transfer is ready to receive. */
  onRoom: () => void = () => {};

  readonly #clock: Clock;
  readonly #memory: Int32Array;

  /** @param memory the kernels' address space */
  constructor(clock: Clock, memory: Int32Array) {
    this.#clock = clock;
    this.#memory = memory;
  }

  get isReady(): boolean {
    return this.#room !== undefined;
  }

  /** Whether words under way would be lost if the transfer were aborted now. */
  get isDelivering(): boolean {
    return this.#completeAt !== undefined;
  }

  /** Whether there is room for so many words more, in a transfer or on the way to one. */
  hasRoomFor(words: number): boolean {
    return this.#takesNext || this.#waitingWords + words <= RESULT_WORDS;
  }

  /** Whether the next packet goes straight to the transfer. */
  get #takesNext(): boolean {
    return this.#room !== undefined && !this.isDelivering && this.#waiting.length === 0;
  }

  open(room: Room): void {
    this.#room = room;
    this.#openedAt = this.#clock.now;
    this.#deliverWaiting();
    this.onRoom();
  }

  /**
   * Sends words.
   * @param at where they lie in the kernels' address space
   * @param last whether TLAST comes with the last of them
   * @param storedAt cycle at which the last of them comes; now by default
   */
  send(at: number, byteLength: number, last: boolean, storedAt = this.#clock.now): void {
    if (this.#takesNext) {
      this.#deliver(this.#memory, at / 4, byteLength / 4, last, storedAt);
      return;
    }
    // What the words are in is used again.
    const words = this.#memory.slice(at / 4, (at + byteLength) / 4);
    this.#waiting.push({ words, last, storedAt });
    this.#waitingWords += words.length;
  }

  #deliverWaiting(): void {
    while (this.#room !== undefined && !this.isDelivering) {
      const packet = this.#waiting.shift();
      if (packet === undefined) return;
      this.#waitingWords -= packet.words.length;
      this.#deliver(packet.words, 0, packet.words.length, packet.last, packet.storedAt);
    }
  }

  #deliver(source: Int32Array, at: number, words: number, last: boolean, storedAt: number): void {
    this.#room?.store(source, at, words);
    // The transfer takes a word a cycle, from the cycle after its start on.
    const taken = Math.max(storedAt + TO_TRANSFER, this.#openedAt + words);
    this.#completeAt = taken + AFTER_PACKET;
    this.#packetIsLast = last;
    this.#clock.at(this.#completeAt, this.#complete);
  }

  readonly #complete = (): void => {
    if (this.#completeAt === undefined || this.#clock.now < this.#completeAt) return;
    this.#completeAt = undefined;
    this.#room?.finish(this.#packetIsLast);
    this.#deliverWaiting();
  };

  /** The transfer is over or was aborted: of an aborted one, what is under way is lost. */
  close(): void {
    this.#room = undefined;
    this.#completeAt = undefined;
  }

  /** Power-up: nothing is on its way. */
  clear(): void {
    this.#waiting = [];
    this.#waitingWords = 0;
  }
}
