import { PynqLlmError } from '../../errors/index.js';
import { type Log, silentLog } from '../../listen/index.js';
import {
  type Clock,
  errorToWire,
  type GenerateEvent,
  type ServerStream,
  type ServiceOptions,
  type TokenEvent,
  traceIdOf,
} from '../../protocol/index.js';
import { endFacts } from './generation-log.js';

/** What the tokens come from. */
export interface TokenSource {
  /** Tokens numbered below `credit` may be generated. */
  grant(generation: string, credit: number): void;
  /** Ends it before its next token; its last event still comes. */
  cancel(generation: string): void;
}

/** How long a generation waits for a client whose connection broke. */
export const GRACE_MS = 30_000;
/** Generations that have ended and are kept for clients that may not know: short ones come by the thousand in that time. */
const MAX_ENDED = 512;
/** How long a generation waits for a client that is connected and reads none of its tokens. */
const UNREAD_MS = 10 * 60_000;

/**
 * One generation on the main thread: keeps the tokens that its client may not have yet, so that it can be resumed
 * on another connection without losing or repeating one. It keeps at most `window` of them, because the worker
 * generates no token beyond what the client's credit allows.
 */
class GenerationRecord {
  /** Tokens that were generated and not acknowledged; the first is number `firstKept`. */
  readonly kept: TokenEvent[] = [];
  firstKept: number;
  /** The generation's last event, once it is over. */
  last: GenerateEvent | undefined;
  stream: ServerStream | undefined;
  /** Number of the token that is event 0 of the stream. */
  streamBase = 0;
  cancelGrace: () => void = () => {};
  /** Set while the client has to give credit before anything goes on. */
  cancelUnread: (() => void) | undefined;

  constructor(
    readonly id: string,
    readonly model: string,
    readonly window: number,
    first: number,
    /** Id of the trace that it is part of. */
    readonly trace: string | undefined,
  ) {
    this.firstKept = first;
  }
}

/** All generations of the agent, by the ids that their clients chose. */
export class GenerationRegistry {
  readonly #records = new Map<string, GenerationRecord>();
  readonly #clock: Clock;
  readonly #source: () => TokenSource;
  readonly #log: Log;
  #onQuiet: () => void = () => {};

  /** @param log is told of the end of each generation that is part of a trace, by whose id it is found */
  constructor(clock: Clock, source: () => TokenSource, log: Log = silentLog) {
    this.#clock = clock;
    this.#log = log;
    this.#source = source;
  }

  /** Generations that still produce tokens. */
  get running(): number {
    return [...this.#records.values()].filter((record) => record.last === undefined).length;
  }

  /** Resolves once no client waits for tokens any more, after `ms` milliseconds at the latest. */
  quiet(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.#clock.after(ms, resolve);
      this.#onQuiet = () => {
        if ([...this.#records.values()].some(({ stream }) => stream !== undefined)) return;
        stop();
        resolve();
      };
      this.#onQuiet();
    });
  }

  /** Whether it is here, or ended a short time ago. */
  has(id: string): boolean {
    return this.#records.has(id);
  }

  usesModel(model: string): boolean {
    return [...this.#records.values()].some((record) => record.model === model && record.last === undefined);
  }

  /**
   * Prepares for the events of a new generation.
   * @param first number of its first token
   * @throws PynqLlmError AGENT_GENERATION_EXISTS
   */
  add(
    id: string,
    model: string,
    window: number,
    stream: ServerStream,
    first = 0,
    { traceparent }: Pick<ServiceOptions, 'traceparent'> = {},
  ): void {
    if (this.#records.has(id))
      throw new PynqLlmError('AGENT_GENERATION_EXISTS', `A generation ${id} exists already.`, {
        context: { id },
      });
    const record = new GenerationRecord(id, model, window, first, traceOf(traceparent));
    this.#records.set(id, record);
    this.#attach(record, stream, first);
  }

  /**
   * Goes on with a generation of a host that is gone: until its client resumes it, it is one whose connection broke.
   * @param next number of the token after those that are kept
   * @param last its end, where it has ended
   */
  restore(
    id: string,
    model: string,
    window: number,
    { next, kept, last }: { next: number; kept: readonly TokenEvent[]; last: GenerateEvent | undefined },
    { traceparent }: Pick<ServiceOptions, 'traceparent'> = {},
  ): void {
    if (this.#records.has(id)) return;
    const record = new GenerationRecord(id, model, window, next - kept.length, traceOf(traceparent));
    record.kept.push(...kept);
    record.last = last;
    this.#records.set(id, record);
    this.#expire(record);
  }

  /** Forgets a generation that could not be started; `stream` belongs to the request that is told so by its reply. */
  refuse(id: string, stream: ServerStream, reason: unknown): void {
    const record = this.#records.get(id);
    if (record === undefined) return;
    this.#stopTimers(record);
    this.#records.delete(id);
    this.#tell(record, { type: 'failed', error: errorToWire(reason, 'AGENT_INTERNAL') });
    // A client that came back meanwhile waits on another stream.
    if (record.stream === undefined || record.stream === stream) return;
    record.stream.emit({ type: 'failed', error: errorToWire(reason, 'AGENT_INTERNAL') });
    record.stream.end();
    record.stream = undefined;
  }

  /** Continues a generation on another stream, beginning with token `next`. */
  resume(id: string, next: number, stream: ServerStream): void {
    const record = this.#find(id);
    const end = record.firstKept + record.kept.length;
    if (next < record.firstKept || next > end)
      throw new PynqLlmError(
        'AGENT_GENERATION_POSITION',
        `Tokens ${record.firstKept} to ${end} of generation ${id} can be resumed at, not ${next}.`,
        { context: { next, first: record.firstKept, end } },
      );
    const former = record.stream;
    record.stream = undefined;
    former?.end();
    this.#attach(record, stream, next);
  }

  /** @throws PynqLlmError AGENT_GENERATION_UNKNOWN */
  cancel(id: string): void {
    if (this.#find(id).last === undefined) this.#source().cancel(id);
  }

  /** Takes an event from the worker. */
  take(id: string, event: GenerateEvent): void {
    const record = this.#records.get(id);
    // What the worker says of a generation that was given up here comes too late.
    if (record === undefined || record.last !== undefined) return;
    if (event.type === 'token') record.kept.push(event);
    else this.#end(record, event);
    this.#flush(record);
  }

  /** The worker is gone, and every generation with it. */
  failAll(reason: PynqLlmError): void {
    const error = errorToWire(reason, 'AGENT_INTERNAL');
    for (const record of [...this.#records.values()]) {
      if (record.last !== undefined) continue;
      this.#end(record, { type: 'failed', error });
      this.#flush(record);
    }
  }

  close(): void {
    for (const record of this.#records.values()) this.#stopTimers(record);
    this.#records.clear();
  }

  #find(id: string): GenerationRecord {
    const record = this.#records.get(id);
    if (record === undefined)
      throw new PynqLlmError('AGENT_GENERATION_UNKNOWN', `There is no generation ${id}.`, {
        context: { id },
      });
    return record;
  }

  #attach(record: GenerationRecord, stream: ServerStream, base: number): void {
    record.cancelGrace();
    record.cancelGrace = () => {};
    record.stream = stream;
    record.streamBase = base;
    stream.listen(
      () => this.#onCredit(record, stream),
      () => this.#onDetached(record, stream),
    );
    this.#onCredit(record, stream);
  }

  #onCredit(record: GenerationRecord, stream: ServerStream): void {
    if (record.stream !== stream) return;
    const limit = record.streamBase + stream.credit;
    if (limit > record.streamBase + stream.sent + record.window)
      throw new PynqLlmError(
        'PROTOCOL_OUT_OF_ORDER',
        `Credit for token ${limit} is beyond the window of ${record.window} after ${record.streamBase + stream.sent} tokens.`,
      );
    const acknowledged = limit - record.window;
    if (acknowledged > record.firstKept) {
      const count = Math.min(acknowledged - record.firstKept, record.kept.length);
      record.kept.splice(0, count);
      record.firstKept += count;
    }
    if (record.last === undefined) this.#source().grant(record.id, limit);
    this.#flush(record);
  }

  #flush(record: GenerationRecord): void {
    const { stream } = record;
    if (stream === undefined) return;
    const end = record.firstKept + record.kept.length;
    while (stream.ready && record.streamBase + stream.sent < end)
      stream.emit(record.kept[record.streamBase + stream.sent - record.firstKept]);
    this.#watchUnread(record, stream);
    if (record.last === undefined || record.streamBase + stream.sent < end) return;
    stream.emit(record.last);
    stream.end();
    record.stream = undefined;
    // The last events may be lost with the connection: the client can still ask for them for a while.
    this.#expire(record);
  }

  #onDetached(record: GenerationRecord, stream: ServerStream): void {
    if (record.stream !== stream) return;
    record.stream = undefined;
    this.#clearUnread(record);
    this.#expire(record);
  }

  /** A client that lives but reads nothing keeps the memory of its sequence from others. */
  #watchUnread(record: GenerationRecord, stream: ServerStream): void {
    if (stream.ready || record.last !== undefined) this.#clearUnread(record);
    else
      record.cancelUnread ??= this.#clock.after(UNREAD_MS, () => {
        record.cancelUnread = undefined;
        this.#source().cancel(record.id);
        const reason = `The tokens of generation ${record.id} were not read for ${UNREAD_MS} ms.`;
        const error = new PynqLlmError('AGENT_CLIENT_STALLED', reason, {
          context: { id: record.id },
        }).toWire();
        this.#end(record, { type: 'failed', error });
        this.#flush(record);
      });
  }

  #end(record: GenerationRecord, last: Exclude<GenerateEvent, TokenEvent>): void {
    record.last = last;
    this.#tell(record, last);
  }

  #tell({ id, trace }: GenerationRecord, last: Exclude<GenerateEvent, TokenEvent>): void {
    if (trace !== undefined) this.#log.info({ generation: id, trace, ...endFacts(last) }, 'generation ended');
  }

  #stopTimers(record: GenerationRecord): void {
    record.cancelGrace();
    this.#clearUnread(record);
  }

  #clearUnread(record: GenerationRecord): void {
    record.cancelUnread?.();
    record.cancelUnread = undefined;
  }

  #expire(record: GenerationRecord): void {
    this.#onQuiet();
    record.cancelGrace();
    this.#forgetOldest();
    record.cancelGrace = this.#clock.after(GRACE_MS, () => {
      if (record.last === undefined) this.#source().cancel(record.id);
      this.#records.delete(record.id);
    });
  }

  #forgetOldest(): void {
    const ended = [...this.#records.values()].filter(({ last, stream }) => last !== undefined && !stream);
    for (const record of ended.slice(0, -MAX_ENDED)) {
      this.#stopTimers(record);
      this.#records.delete(record.id);
    }
  }
}

function traceOf(traceparent: string | undefined): string | undefined {
  return traceparent === undefined ? undefined : traceIdOf({ traceparent });
}
