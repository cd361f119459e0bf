import type { QueueConfig } from '../bus.js';
import type { Store, StoredMessage } from './store.js';

/** A message as a lane delivers it. */
export interface LaneDelivery {
  readonly message: StoredMessage;
  readonly deliveries: number;
}
interface InHand {
  deliveries: number;
  /** Ends the ack wait, or the delay after a NAK. */
  timer: NodeJS.Timeout | undefined;
}

/** Who waits for a message of one lane, and what is delivered and not acknowledged. */
export class Lane {
  readonly #store: Store;
  readonly #subject: string;
  readonly #config: () => QueueConfig;
  readonly #onExhausted: (sequence: number, deliveries: number) => void;
  /** By sequence: delivered once at least and still stored. */
  readonly #inHand = new Map<number, InHand>();
  /** To be delivered again. */
  readonly #due = new Set<number>();
  readonly #waiting: ((delivery: LaneDelivery) => void)[] = [];
  readonly #forget: () => void;
  #next = 1;

  constructor(
    store: Store,
    subject: string,
    config: () => QueueConfig,
    onExhausted: (sequence: number, deliveries: number) => void,
  ) {
    this.#store = store;
    this.#subject = subject;
    this.#config = config;
    this.#onExhausted = onExhausted;
    this.#forget = store.onAppend(() => this.#serve());
  }

  /** Hands the next message to `take`, now or later. @returns a function that takes back the wish */
  wait(take: (delivery: LaneDelivery) => void): () => void {
    this.#waiting.push(take);
    this.#serve();
    return () => {
      const i = this.#waiting.indexOf(take);
      if (i >= 0) this.#waiting.splice(i, 1);
    };
  }
  ack(sequence: number): void {
    this.#drop(sequence);
    this.#store.remove(sequence);
  }
  nak(sequence: number, delayMs: number): void {
    this.#arm(sequence, delayMs);
  }
  working(sequence: number): void {
    this.#arm(sequence, this.#config().ackWaitMs);
  }
  close(): void {
    this.#forget();
    for (const { timer } of this.#inHand.values()) clearTimeout(timer);
  }

  #arm(sequence: number, afterMs: number): void {
    const inHand = this.#inHand.get(sequence);
    // Exhausted, or waiting for its next puller already.
    if (inHand === undefined || inHand.timer === undefined) return;
    clearTimeout(inHand.timer);
    inHand.timer = setTimeout(() => this.#again(sequence, inHand), afterMs);
    // The bus alone keeps no process alive.
    inHand.timer.unref();
  }

  #again(sequence: number, inHand: InHand): void {
    inHand.timer = undefined;
    if (this.#store.get(sequence) === undefined) this.#drop(sequence);
    else if (inHand.deliveries >= this.#config().maxDeliveries)
      this.#onExhausted(sequence, inHand.deliveries);
    else {
      this.#due.add(sequence);
      this.#serve();
    }
  }

  #serve(): void {
    while (this.#waiting.length > 0) {
      const message = this.#take();
      if (message === undefined) return;
      const { sequence } = message;
      const deliveries = (this.#inHand.get(sequence)?.deliveries ?? 0) + 1;
      const inHand: InHand = { deliveries, timer: undefined };
      inHand.timer = setTimeout(() => this.#again(sequence, inHand), this.#config().ackWaitMs);
      inHand.timer.unref();
      this.#inHand.set(sequence, inHand);
      this.#waiting.shift()!({ message, deliveries });
    }
  }

  #take(): StoredMessage | undefined {
    for (const sequence of [...this.#due].sort((a, b) => a - b)) {
      this.#due.delete(sequence);
      const message = this.#store.get(sequence);
      if (message) return message;
      this.#drop(sequence);
    }
    const message = this.#store.next(this.#subject, this.#next);
    this.#next = message ? message.sequence + 1 : Math.max(this.#next, this.#store.last + 1);
    return message;
  }

  #drop(sequence: number): void {
    clearTimeout(this.#inHand.get(sequence)?.timer);
    this.#inHand.delete(sequence);
    this.#due.delete(sequence);
  }
}
