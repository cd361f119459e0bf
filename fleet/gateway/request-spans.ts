import {
  errorFromWire,
  type GenerateEvent,
  readTraceContext,
  type ServiceOptions,
  type TraceContext,
} from '../../protocol/index.js';
import { type OpenSpan, openSpan } from '../../spans/index.js';

/** A request's spans in the gateway: its own, and in that its waits for a board and what each board had of it, one behind the other. */
export class RequestSpans {
  readonly #request: OpenSpan;
  #part: OpenSpan;

  constructor({ traceparent, tracestate }: ServiceOptions = {}) {
    this.#request = openSpan('fleet.request', {
      kind: 'server',
      parent: readTraceContext(traceparent, tracestate),
    });
    this.#part = this.#wait();
  }

  /** For the board that has it. */
  get context(): TraceContext | undefined {
    return this.#part.context;
  }

  given(board: string, delivery: number): void {
    this.#part.end();
    const attributes = { 'pynq_llm.board': board, 'pynq_llm.delivery': delivery };
    this.#part = openSpan('fleet.delivery', { kind: 'client', parent: this.#request.context, attributes });
  }

  /** Its board has it no more, and it waits for another one. @param failed whether the board was lost with it, or failed */
  takenBack(failed: boolean): void {
    this.#part.end(failed ? 'it went on elsewhere' : undefined);
    this.#part = this.#wait();
  }

  /** Something happened on the board that has it. */
  tell(event: 'begun' | 'first token'): void {
    this.#part.tell(event);
  }

  ended(event: GenerateEvent): void {
    const error = event.type === 'failed' ? errorFromWire(event.error) : undefined;
    this.#part.end(error);
    this.#request.end(error);
  }

  #wait(): OpenSpan {
    return openSpan('fleet.wait', { parent: this.#request.context });
  }
}
