/** Where a register is: index of its window in the description's order, and byte offset. */
export interface RegisterPlace {
  readonly window: number;
  readonly offset: number;
}

const STATE = 0;
const CALL = 1;
const COUNT = 2;
const HEADER = 3;
/** Longer batches go by message: their time is not spent on the way. */
const MAX_PLACES = 64;

const FREE = 0;
const ASKED = 1;
/** The main thread has stopped looking: the answer goes by message. */
const LEFT = 2;
const ANSWERED = 3;

/** Count of a question that met an error, which comes by message. */
const FAILED = -1;

/** How long the main thread looks for an answer. */
const LOOK_MS = 0.05;
const LOOKS_BETWEEN_CLOCK_READINGS = 100;

/**
 * A short way for reading a few registers: question and answer in shared memory, for a worker that is awake. A
 * message would cost many times the access itself, because the operating system has to wake a thread for each.
 */
export class RegisterMailbox {
  readonly #words: Int32Array;

  constructor(readonly shared: SharedArrayBuffer = new SharedArrayBuffer((HEADER + 2 * MAX_PLACES) * 4)) {
    this.#words = new Int32Array(shared);
  }

  /**
   * Main thread: puts the question, unless an earlier one is still on the way.
   * @param call id under which the answer comes by message if it takes longer than a moment
   */
  ask(call: number, places: readonly RegisterPlace[]): boolean {
    if (places.length > MAX_PLACES || Atomics.load(this.#words, STATE) !== FREE) return false;
    this.#words[CALL] = call;
    this.#words[COUNT] = places.length;
    let at = HEADER;
    for (const { window, offset } of places) {
      this.#words[at++] = window;
      this.#words[at++] = offset;
    }
    Atomics.store(this.#words, STATE, ASKED);
    return true;
  }

  /** Main thread: looks a moment for the answer. @returns the values; undefined when the answer comes by message */
  look(): number[] | undefined {
    const end = performance.now() + LOOK_MS;
    do {
      for (let i = 0; i < LOOKS_BETWEEN_CLOCK_READINGS; i++)
        if (Atomics.load(this.#words, STATE) === ANSWERED) return this.#take();
    } while (performance.now() < end);
    if (Atomics.compareExchange(this.#words, STATE, ASKED, LEFT) === ASKED) return undefined;
    return this.#take();
  }

  /** Worker: whether there is a question. */
  get isAsked(): boolean {
    const state = Atomics.load(this.#words, STATE);
    return state === ASKED || state === LEFT;
  }

  /**
   * Worker: answers the question.
   * @param read one register
   * @param post takes what has to go by message: the values where nobody looks for them any more, or an error
   */
  answer(
    read: (place: RegisterPlace) => number,
    post: (call: number, answer: { readonly values: number[] } | { readonly error: unknown }) => void,
  ): void {
    const call = this.#words[CALL];
    let failure: { readonly error: unknown } | undefined;
    try {
      for (let at = HEADER; at < HEADER + 2 * this.#words[COUNT]; at += 2)
        this.#words[at] = read({ window: this.#words[at], offset: this.#words[at + 1] });
    } catch (error) {
      failure = { error };
      this.#words[COUNT] = FAILED;
    }
    const isLookedFor = Atomics.compareExchange(this.#words, STATE, ASKED, ANSWERED) === ASKED;
    const values = isLookedFor ? undefined : this.#take();
    if (failure !== undefined) post(call, failure);
    else if (values !== undefined) post(call, { values });
  }

  #take(): number[] | undefined {
    const count = this.#words[COUNT];
    const values: number[] = [];
    for (let i = 0; i < count; i++) values.push(this.#words[HEADER + 2 * i] >>> 0);
    Atomics.store(this.#words, STATE, FREE);
    return count === FAILED ? undefined : values;
  }
}
