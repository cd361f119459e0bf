import type { Clock } from './clock.js';

/** A running transfer from memory: words that the core may take. */
interface Supply {
  /** Offset in the kernels' address space, in bytes, of the next word. */
  at: number;
  words: number;
  readonly completed: () => void;
}

/** One lane's stream of words into the core. Transfers follow each other without a seam: only the words count. */
export class InputLane {
  private supply: Supply | undefined;
  /** Called when words arrive. */
  onWords: () => void = () => {};

  constructor(
    private readonly clock: Clock,
    private readonly memory: Uint32Array,
  ) {}

  /** Words that a transfer offers now. */
  get available(): number {
    return this.supply?.words ?? 0;
  }

  /** The word `index` places ahead, or undefined while it has not come. */
  peek(index: number): number | undefined {
    return this.supply !== undefined && index < this.supply.words
      ? this.memory[this.supply.at / 4 + index]
      : undefined;
  }

  /**
   * Takes words in one piece.
   * @param words at most `available`
   * @param lastAt cycle at which the last of them is accepted: with the transfer's last word the transfer completes
   * @returns where they lie, as an offset in the kernels' address space
   */
  take(words: number, lastAt: number): number {
    const { supply } = this;
    if (supply === undefined || words > supply.words) throw new RangeError('more words taken than offered');
    const at = supply.at;
    supply.at += words * 4;
    supply.words -= words;
    if (supply.words === 0)
      this.clock.at(lastAt, () => {
        if (this.supply !== supply) return;
        this.supply = undefined;
        supply.completed();
      });
    return at;
  }

  /** A transfer of `words` words starts. */
  offer(at: number, words: number, completed: () => void): void {
    this.supply = { at, words, completed };
    this.onWords();
  }

  /** The transfer was aborted: what the core has not taken is lost. */
  abort(): void {
    this.supply = undefined;
  }
}

/** A running transfer to memory. */
export interface Room {
  readonly receive: (at: number, byteLength: number, last: boolean) => void;
}

/** One lane's stream of words out of the core. */
export class OutputLane {
  private room: Room | undefined;
  /** Called when a transfer is ready to receive. */
  onRoom: () => void = () => {};

  get isReady(): boolean {
    return this.room !== undefined;
  }

  open(room: Room): void {
    this.room = room;
    this.onRoom();
  }

  /**
   * Sends words.
   * @param at where they lie in the kernels' address space
   * @param last whether TLAST comes with the last of them
   */
  send(at: number, byteLength: number, last: boolean): void {
    this.room?.receive(at, byteLength, last);
  }

  close(): void {
    this.room = undefined;
  }
}
