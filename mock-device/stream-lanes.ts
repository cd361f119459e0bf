import type { Clock } from './clock.js';

/** One lane's stream of words into the core. Transfers follow each other without a seam: only the words count. */
export class InputLane {
  /** Whether a transfer runs; then its words that the core may take, and where they lie in the kernels' address space. */
  #running = false;
  #words = 0;
  #at = 0;
  /** Cycle at which the transfer's last word is accepted. */
  #endsAt = 0;
  /** Called when words arrive. */
  onWords: () => void = () => {};
  /** Called when a transfer's last word was accepted. */
  onCompleted: () => void = () => {};

  readonly #clock: Clock;
  readonly #memory: Uint32Array;

  constructor(clock: Clock, memory: Uint32Array) {
    this.#clock = clock;
    this.#memory = memory;
  }

  /** Words that a transfer offers now. */
  get available(): number {
    return this.#words;
  }

  /** The word `index` places ahead, or undefined while it has not come. */
  peek(index: number): number | undefined {
    return index < this.#words ? this.#memory[this.#at / 4 + index] : undefined;
  }

  /**
   * Takes words in one piece.
   * @param words at most `available`
   * @param lastAt cycle at which the last of them is accepted: with the transfer's last word the transfer completes
   * @returns where they lie, as an offset in the kernels' address space
   */
  take(words: number, lastAt: number): number {
    if (words > this.#words) throw new RangeError('more words taken than offered');
    const at = this.#at;
    this.#at += words * 4;
    this.#words -= words;
    if (this.#words === 0) {
      this.#endsAt = lastAt;
      this.#clock.at(lastAt, this.#end);
    }
    return at;
  }

  /** Of a transfer that was aborted, nothing comes; the next one may have begun by then. */
  readonly #end = (): void => {
    if (!this.#running || this.#words > 0 || this.#clock.now < this.#endsAt) return;
    this.#running = false;
    this.onCompleted();
  };

  /** A transfer of `words` words starts. */
  offer(at: number, words: number): void {
    this.#running = true;
    this.#at = at;
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
  readonly receive: (at: number, byteLength: number, last: boolean) => void;
}

/** One lane's stream of words out of the core. */
export class OutputLane {
  #room: Room | undefined;
  /** Called when a transfer is ready to receive. */
  onRoom: () => void = () => {};

  get isReady(): boolean {
    return this.#room !== undefined;
  }

  open(room: Room): void {
    this.#room = room;
    this.onRoom();
  }

  /**
   * Sends words.
   * @param at where they lie in the kernels' address space
   * @param last whether TLAST comes with the last of them
   */
  send(at: number, byteLength: number, last: boolean): void {
    this.#room?.receive(at, byteLength, last);
  }

  close(): void {
    this.#room = undefined;
  }
}
