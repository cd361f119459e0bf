import { PynqLlmError } from '../errors/index.js';
import type { EventFrame } from './frames.js';

/** The agent's end of one event stream. */
export class ServerStream {
  /** Id of the request that opened it. */
  readonly id: number;
  readonly #send: (frame: EventFrame) => void;
  readonly #forget: () => void;
  #sent = 0;
  #credit = 0;
  #open = true;
  #onCredit: () => void = () => {};
  #onClose: () => void = () => {};

  constructor(id: number, send: (frame: EventFrame) => void, forget: () => void) {
    this.id = id;
    this.#send = send;
    this.#forget = forget;
  }

  /** Number of the next event. */
  get sent(): number {
    return this.#sent;
  }

  /** Events numbered below this may be sent. */
  get credit(): number {
    return this.#credit;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Whether the client is ready for one more event. */
  get ready(): boolean {
    return this.#open && this.#sent < this.#credit;
  }

  /** @param onCredit the client is ready for more @param onClose the client, or its connection, is gone */
  listen(onCredit: () => void, onClose: () => void): void {
    this.#onCredit = onCredit;
    this.#onClose = onClose;
  }

  /** Sends an event. A stream's last event may go without credit; every other must be covered by it. */
  emit(event: unknown): void {
    if (this.#open) this.#send({ stream: this.id, seq: this.#sent++, event });
  }

  /** No event follows. */
  end(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#forget();
  }

  /** For the session: the client allows events numbered below `credit`. */
  grant(credit: number): void {
    if (credit < this.#credit)
      throw new PynqLlmError(
        'PROTOCOL_OUT_OF_ORDER',
        `Credit ${credit} is less than the earlier ${this.#credit}.`,
      );
    if (credit === this.#credit) return;
    this.#credit = credit;
    this.#onCredit();
  }

  /** For the session: the client closed the stream, or its session ended. */
  closedByClient(): void {
    if (!this.#open) return;
    this.end();
    this.#onClose();
  }
}
