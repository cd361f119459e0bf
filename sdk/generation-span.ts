import {
  type DoneEvent,
  readTraceContext,
  type ServiceOptions,
  type TraceContext,
  type WirePrompt,
} from '../protocol/index.js';
import { type OpenSpan, openSpan } from '../spans/index.js';

/** A generation as a span with its phases, in the terms of OpenTelemetry's conventions for generative AI. No text is in it. */
export class GenerationSpan {
  readonly #span: OpenSpan;
  readonly #startedAt = Date.now();

  constructor(model: string, prompt: WirePrompt, { traceparent, tracestate }: ServiceOptions) {
    const operation = 'messages' in prompt ? 'chat' : 'text_completion';
    this.#span = openSpan(operation, {
      kind: 'client',
      parent: readTraceContext(traceparent, tracestate),
      at: this.#startedAt,
      attributes: { 'gen_ai.operation.name': operation, 'gen_ai.request.model': model },
    });
  }

  /** For whoever generates it. */
  get context(): TraceContext | undefined {
    return this.#span.context;
  }

  done({ reason, tokens, timing }: DoneEvent): void {
    const { queuedMs, prefillMs, decodeMs, promptTokens } = timing;
    // Counted from the end: whoever had it before, on a board that was lost, is not in these times.
    let to = Date.now();
    const phases: [string, number][] = [
      ['decode', decodeMs],
      ['prefill', prefillMs],
      ['queue', queuedMs],
    ];
    for (const [name, ms] of phases) {
      const from = Math.max(this.#startedAt, to - ms);
      this.#span.part(name, from, to);
      to = from;
    }
    this.#span.set({
      'gen_ai.usage.input_tokens': promptTokens,
      'gen_ai.usage.output_tokens': tokens,
      'gen_ai.response.finish_reasons': [reason],
    });
    this.#span.end();
  }

  failed(error: unknown): void {
    this.#span.end(error ?? 'aborted');
  }
}
