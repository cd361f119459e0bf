/**
 * The memory of a lane: who gives results away writes them into an outbox of its own and rings; who waits looks into the outboxes of
 * the others. It is shared by threads that each compute a part, or by one such thread and the one that has the links to other boards
 * and keeps their outboxes as they are there.
 *
 * An outbox has two slots, used in turn. That is enough: a member comes to its message s + 2 only when all have given theirs of s + 1,
 * which they do after they have read s. Of what goes to the first member alone the others wait for its empty message, which it gives
 * when it has all of theirs.
 */
const ENDED = 0;
const BELL = 1;
const MEMBERS = 2;
const CAPACITY = 3;
const HEAD_WORDS = 16;
/** Words of a slot before its bytes: the message's number plus one, 0 for none; its batch; its length; whether it is for the first alone. */
const SLOT_WORDS = 4;
const SLOTS = 2;

/** What has ended a lane: nothing, somebody's decision, or that member's silence, counted from here on. */
const RUNS = 0;
const STOPPED = 1;
const SILENT = 2;

/** A message in an outbox. */
export interface LaneMessage {
  readonly number: number;
  readonly batch: number;
  readonly forFirst: boolean;
  /** In place: until the member's message after the next one. */
  readonly bytes: Uint8Array;
}

export class LaneMemory {
  readonly members: number;
  /** Most bytes of a message. */
  readonly capacity: number;
  readonly #words: Int32Array;

  /** @param capacity most bytes of a message */
  static create(members: number, capacity: number): LaneMemory {
    const room = wholeLines(capacity);
    const slots = members * SLOTS * (4 * SLOT_WORDS + room);
    const words = new Int32Array(new SharedArrayBuffer(4 * HEAD_WORDS + slots));
    words[MEMBERS] = members;
    words[CAPACITY] = room;
    return new LaneMemory(words.buffer as SharedArrayBuffer);
  }

  constructor(readonly shared: SharedArrayBuffer) {
    this.#words = new Int32Array(shared);
    this.members = this.#words[MEMBERS];
    this.capacity = this.#words[CAPACITY];
  }

  /** Puts a message into a member's outbox and rings. */
  put(member: number, { number, batch, forFirst, bytes }: LaneMessage): void {
    const at = this.#slot(member, number);
    this.#words[at + 1] = batch;
    this.#words[at + 2] = bytes.length;
    this.#words[at + 3] = forFirst ? 1 : 0;
    this.#bytesOf(at).set(bytes);
    Atomics.store(this.#words, at, number + 1);
    this.#ring();
  }

  /** A member's message of that number, where it is there. */
  look(member: number, number: number): LaneMessage | undefined {
    const at = this.#slot(member, number);
    if (Atomics.load(this.#words, at) !== number + 1) return undefined;
    const bytes = this.#bytesOf(at).subarray(0, this.#words[at + 2]);
    return { number, batch: this.#words[at + 1], forFirst: this.#words[at + 3] === 1, bytes };
  }

  /** Ends the lane for all, by the silence of `silent` where that is why. What has ended stays as it is. */
  end(silent?: number): void {
    Atomics.compareExchange(this.#words, ENDED, RUNS, silent === undefined ? STOPPED : SILENT + silent);
    this.#ring();
  }

  /** Whether it has ended, and by whose silence. */
  get ended(): { readonly silent: number | undefined } | undefined {
    const why = Atomics.load(this.#words, ENDED);
    if (why === RUNS) return undefined;
    return { silent: why >= SILENT ? why - SILENT : undefined };
  }

  /** A state of the bell: whoever has looked at everything since it was read may wait for it to ring. */
  get bell(): number {
    return Atomics.load(this.#words, BELL);
  }

  /** Blocks until the bell has rung since `bell` was read. @returns whether it has, in time */
  wait(bell: number, timeoutMs: number): boolean {
    return Atomics.wait(this.#words, BELL, bell, timeoutMs) !== 'timed-out';
  }

  /** The same for a thread that must not block. */
  async waitAsync(bell: number): Promise<void> {
    const { value } = waitAsync(this.#words, BELL, bell);
    await value;
  }

  #ring(): void {
    Atomics.add(this.#words, BELL, 1);
    Atomics.notify(this.#words, BELL);
  }

  /** The word where the slot of a member's message begins. */
  #slot(member: number, number: number): number {
    return HEAD_WORDS + (member * SLOTS + (number % SLOTS)) * (SLOT_WORDS + this.capacity / 4);
  }

  #bytesOf(slot: number): Uint8Array {
    return new Uint8Array(this.shared, 4 * (slot + SLOT_WORDS), this.capacity);
  }
}

/** Node.js has it since 16; the type library of ES2024 declares it. */
const { waitAsync } = Atomics as unknown as {
  waitAsync(words: Int32Array, index: number, value: number): { readonly value: unknown };
};

function wholeLines(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}
