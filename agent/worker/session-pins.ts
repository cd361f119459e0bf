import { PynqLlmError } from '../../errors/index.js';
import type { EnginePrefill, KvPin, PrefillSink } from '../../llm/index.js';
import { MAX_PINS, type OnProgress, type Result } from '../../protocol/index.js';

/** What the request that pins is told, by the number of its call. */
export interface PinEvents {
  onAnswer(
    call: number,
    outcome: { readonly result: Result<'models.pin'> } | { readonly error: unknown },
  ): void;
  onProgress(call: number, ...amounts: Parameters<OnProgress>): void;
}

/** Who pins what. */
export interface PinOwner {
  readonly session: number;
  /** Chosen by the session. */
  readonly pin: string;
  /** The model's digest. */
  readonly model: string;
  /** The request that waits until the prompt is computed. */
  readonly call: number;
}

interface SessionPin extends PinOwner {
  /** While the prompt is computed. */
  pinning: EnginePrefill | undefined;
  /** Once it is. */
  held: KvPin | undefined;
}

/** Prompts that sessions pinned: each is its session's own, and released with it or with its model. */
export class SessionPins {
  readonly #events: PinEvents;
  readonly #pins = new Set<SessionPin>();

  constructor(events: PinEvents) {
    this.#events = events;
  }

  /**
   * Pins a prompt; the request is answered once it is computed.
   * @param start has the engine compute it
   * @throws PynqLlmError AGENT_PIN_EXISTS, AGENT_PIN_QUOTA, and as `start` does
   */
  start(owner: PinOwner, start: (sink: PrefillSink<KvPin>) => EnginePrefill): void {
    this.checkNew(owner.session, owner.pin);
    const pin: SessionPin = { ...owner, pinning: undefined, held: undefined };
    const pinning = start({
      onDone: (held) => {
        pin.pinning = undefined;
        pin.held = held;
        this.#pins.add(pin);
        this.#events.onAnswer(pin.call, { result: { tokens: held.tokens } });
      },
      onCancelled: () => this.#fail(pin, pinReleased(pin.pin)),
      onError: (error) => this.#fail(pin, error),
    });
    if (pin.held !== undefined) return;
    pin.pinning = pinning;
    this.#pins.add(pin);
  }

  /** Whether a session may have one more pin. @throws PynqLlmError AGENT_PIN_EXISTS, AGENT_PIN_QUOTA */
  checkNew(session: number, id: string): void {
    const mine = [...this.#pins].filter((one) => one.session === session);
    if (mine.some(({ pin }) => pin === id))
      throw new PynqLlmError('AGENT_PIN_EXISTS', `The session has a pin ${id} already.`, {
        context: { pin: id },
      });
    if (mine.length >= MAX_PINS)
      throw new PynqLlmError('AGENT_PIN_QUOTA', `The session holds ${mine.length} pins.`, {
        context: { pins: mine.length },
      });
  }

  /** Tells the requests about prompts of a model how far those are, after a step of its engine. */
  tellProgress(model: string): void {
    for (const { model: own, call, pinning } of this.#pins)
      if (own === model && pinning !== undefined)
        this.#events.onProgress(call, pinning.done, pinning.total, 'tokens');
  }

  /** @throws PynqLlmError AGENT_PIN_UNKNOWN */
  release(session: number, id: string): void {
    const pin = [...this.#pins].find((one) => one.session === session && one.pin === id);
    if (pin === undefined)
      throw new PynqLlmError('AGENT_PIN_UNKNOWN', `This session has no pin ${id}.`, { context: { pin: id } });
    this.#release(pin);
  }

  endSession(session: number): void {
    for (const pin of [...this.#pins]) if (pin.session === session) this.#release(pin);
  }

  /** What is being computed ends with the engine's next step. */
  endModel(model: string): void {
    for (const pin of [...this.#pins]) if (pin.model === model) this.#release(pin);
  }

  #release(pin: SessionPin): void {
    this.#pins.delete(pin);
    pin.held?.release();
    pin.pinning?.cancel();
  }

  #fail(pin: SessionPin, error: PynqLlmError): void {
    this.#pins.delete(pin);
    this.#events.onAnswer(pin.call, { error });
  }
}

/** The end of a request whose pin was released before its prompt was computed. */
export function pinReleased(pin: string): PynqLlmError {
  return new PynqLlmError('AGENT_PIN_RELEASED', `Pin ${pin} was released while its prompt was computed.`, {
    context: { pin },
  });
}
