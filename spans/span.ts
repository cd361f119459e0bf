import type { Attributes, Context, Span, SpanContext } from '@opentelemetry/api';
import { isPynqLlmError } from '../errors/index.js';
import { readTraceContext, type TraceContext } from '../protocol/index.js';
import { type OpenTelemetry, registeredApi } from './registered.js';

export type SpanAttributes = Readonly<
  Record<string, string | number | boolean | readonly string[] | undefined>
>;

/** What is said of a span when it begins. */
export interface SpanStart {
  readonly kind?: 'server' | 'client' | 'internal';
  /** What it is part of; what is active in the process, where there is something, or a trace of its own, unless given. */
  readonly parent?: TraceContext | undefined;
  readonly attributes?: SpanAttributes;
  /** Milliseconds of the epoch; now unless given. */
  readonly at?: number;
}

/** Work that takes its time, as part of a trace. */
export interface OpenSpan {
  /** For whatever is part of it, in this process or elsewhere; undefined where nobody traces. */
  readonly context: TraceContext | undefined;
  /** Something happened in it. */
  tell(event: string, attributes?: SpanAttributes): void;
  rename(name: string): void;
  set(attributes: SpanAttributes): void;
  /** A part of it that has ended, from and to milliseconds of the epoch. */
  part(name: string, from: number, to: number, attributes?: SpanAttributes): void;
  /** @param error why it failed, where it did */
  end(error?: unknown): void;
}

/** Begins a span, where the process has registered OpenTelemetry; without it, it only passes on what it is part of. */
export function openSpan(name: string, { kind = 'internal', parent, attributes, at }: SpanStart): OpenSpan {
  const api = registeredApi();
  if (api === undefined) return passing(parent);
  const { SpanKind, context: contexts, trace } = api;
  const tracer = trace.getTracer('pynq-llm');
  const around = parent === undefined ? contexts.active() : remote(api, parent);
  const kinds = { server: SpanKind.SERVER, client: SpanKind.CLIENT, internal: SpanKind.INTERNAL };
  const span = tracer.startSpan(
    name,
    { kind: kinds[kind], attributes: attributes as Attributes, startTime: at ?? Date.now() },
    around,
  );
  return new Recorded(api, span, parent);
}

/** The trace that is active in the process, where it has registered OpenTelemetry. */
export function activeTrace(): TraceContext | undefined {
  const active = registeredApi()?.trace.getActiveSpan()?.spanContext();
  return active === undefined ? undefined : written(active);
}

function passing(context: TraceContext | undefined): OpenSpan {
  const nothing = () => {};
  return { context, tell: nothing, rename: nothing, set: nothing, part: nothing, end: nothing };
}

class Recorded implements OpenSpan {
  readonly context: TraceContext | undefined;
  readonly #api: OpenTelemetry;
  readonly #span: Span;

  constructor(api: OpenTelemetry, span: Span, parent: TraceContext | undefined) {
    this.#api = api;
    this.#span = span;
    // A provider that does nothing gives no id.
    this.context = written(span.spanContext()) ?? parent;
  }

  tell(event: string, attributes: SpanAttributes = {}): void {
    this.#span.addEvent(event, attributes as Attributes, Date.now());
  }

  rename(name: string): void {
    this.#span.updateName(name);
  }

  set(attributes: SpanAttributes): void {
    this.#span.setAttributes(attributes as Attributes);
  }

  part(name: string, from: number, to: number, attributes: SpanAttributes = {}): void {
    const { trace, ROOT_CONTEXT } = this.#api;
    const around = trace.setSpan(ROOT_CONTEXT, this.#span);
    trace
      .getTracer('pynq-llm')
      .startSpan(name, { startTime: from, attributes: attributes as Attributes }, around)
      .end(to);
  }

  end(error?: unknown): void {
    if (error !== undefined) {
      const message = error instanceof Error ? error.message : String(error);
      this.#span.setAttribute('error.type', isPynqLlmError(error) ? error.code : 'unexpected');
      this.#span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message });
    }
    this.#span.end(Date.now());
  }
}

function remote(api: OpenTelemetry, { traceparent, tracestate }: TraceContext): Context {
  const [, traceId, spanId, flags] = traceparent.split('-');
  return api.trace.setSpanContext(api.ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(tracestate === undefined ? {} : { traceState: api.createTraceState(tracestate) }),
  });
}

function written({ traceId, spanId, traceFlags, traceState }: SpanContext): TraceContext | undefined {
  const flags = (traceFlags & 0xff).toString(16).padStart(2, '0');
  return readTraceContext(`00-${traceId}-${spanId}-${flags}`, traceState?.serialize());
}
