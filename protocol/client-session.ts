import { PynqLlmError, type WireError } from '../errors/index.js';
import type { Clock } from './clock.js';
import { decodeFrame, encodeFrame } from './codec.js';
import { type ClientFrame, type EventFrame, readServerFrame } from './frames.js';
import type { MethodName, Params, Result, StreamEvent, StreamMethodName } from './methods.js';
import { checkEvent, checkParams, checkResult } from './validate.js';
import { PROTOCOL_VERSION, requireSameMajor } from './version.js';
import { errorFromWire } from './wire-error.js';

export interface ClientSessionOptions {
  readonly send: (frame: Uint8Array) => void;
  readonly clock: Clock;
  /** Told once when the session ends, whoever ended it. */
  readonly onEnd: (reason: PynqLlmError) => void;
}

export interface RequestOptions {
  /** Milliseconds until the request fails with PROTOCOL_REQUEST_TIMEOUT. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** What the client knows of a stream that it opened. */
export interface ClientStream {
  readonly id: number;
  /** Lets the agent send events numbered below `credit`. */
  grant(credit: number): void;
}

interface Pending {
  readonly method: MethodName;
  /** By the clock. */
  readonly dueAt: number;
  readonly timeoutMs: number;
  /** Stops listening to the request's signal. */
  readonly forget: () => void;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

interface OpenStream {
  readonly method: StreamMethodName;
  readonly onEvent: (event: unknown) => void;
  next: number;
}

/** The client's side of one connection: frames in, frames out. It checks everything that the agent sends. */
export class ClientSession {
  readonly #options: ClientSessionOptions;
  readonly #pending = new Map<number, Pending>();
  readonly #streams = new Map<number, OpenStream>();
  /** The timer for the earliest deadline that is known. */
  #deadlines: { readonly at: number; readonly cancel: () => void } | undefined;
  #nextId = 0;
  #ended: PynqLlmError | undefined;

  constructor(options: ClientSessionOptions) {
    this.#options = options;
  }

  /**
   * Opens the session.
   * @throws PynqLlmError PROTOCOL_VERSION_MISMATCH, or as the agent refuses
   */
  async hello(client: string, token: string | undefined, options: RequestOptions): Promise<Result<'hello'>> {
    const params = { protocol: PROTOCOL_VERSION, client, ...(token === undefined ? {} : { token }) };
    const result = await this.request('hello', params, options);
    requireSameMajor(result.protocol, 'agent');
    return result;
  }

  get isOpen(): boolean {
    return this.#ended === undefined;
  }

  /** Sends a request and waits for its reply. @throws PynqLlmError from either side, or the signal's reason */
  request<M extends MethodName>(method: M, params: Params<M>, options: RequestOptions): Promise<Result<M>> {
    try {
      return this.#start(method, params, options).result;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Sends a request that opens a stream. Events may come before the reply; none comes without credit.
   * The stream counts as open until `release` is called or the session ends.
   * @throws PynqLlmError PROTOCOL_BAD_PARAMS, PROTOCOL_FRAME_TOO_LARGE, or the signal's reason, before anything is sent
   */
  openStream<M extends StreamMethodName>(
    method: M,
    params: Params<M>,
    onEvent: (event: StreamEvent<M>) => void,
    options: RequestOptions,
  ): { readonly result: Promise<Result<M>>; readonly stream: ClientStream; release(): void } {
    const { id, result } = this.#start(method, params, options);
    this.#streams.set(id, { method, onEvent: (event) => onEvent(checkEvent(method, event)), next: 0 });
    const grant = (credit: number) => this.#send({ stream: id, credit });
    return { result, stream: { id, grant }, release: () => this.#streams.delete(id) };
  }

  /** Takes one frame from the agent. A frame that breaks the protocol ends the session. Never throws. */
  receive(bytes: Uint8Array): void {
    if (this.#ended !== undefined) return;
    try {
      this.#take(bytes);
    } catch (error) {
      this.end(
        error instanceof PynqLlmError
          ? error
          : new PynqLlmError('PROTOCOL_FRAME_MALFORMED', 'A frame could not be read.', { cause: error }),
      );
    }
  }

  /** Ends the session: every request fails with `reason`, no event follows. */
  end(reason: PynqLlmError): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    this.#streams.clear();
    this.#deadlines?.cancel();
    for (const id of [...this.#pending.keys()]) this.#giveUp(id, reason);
    this.#options.onEnd(reason);
  }

  /** Throws before an id is used if the request cannot be sent, so that the agent never hears of the id. */
  #start<M extends MethodName>(
    method: M,
    params: Params<M>,
    { timeoutMs, signal }: RequestOptions,
  ): { readonly id: number; readonly result: Promise<Result<M>> } {
    if (this.#ended !== undefined) throw this.#ended;
    signal?.throwIfAborted();
    const id = this.#nextId;
    const frame = encodeFrame({ id, method, params: checkParams(method, params) });
    this.#nextId++;
    const result = new Promise<Result<M>>((resolve, reject) => {
      const onAbort = signal && (() => this.#giveUp(id, signal.reason));
      if (onAbort) signal.addEventListener('abort', onAbort, { once: true });
      this.#pending.set(id, {
        method,
        dueAt: this.#options.clock.now() + timeoutMs,
        timeoutMs,
        forget: () => onAbort && signal.removeEventListener('abort', onAbort),
        resolve: (value) => resolve(checkResult(method, value)),
        reject,
      });
    });
    this.#watchDeadlines(timeoutMs);
    this.#options.send(frame);
    return { id, result };
  }

  #take(bytes: Uint8Array): void {
    const frame = readServerFrame(decodeFrame(bytes));
    if ('event' in frame) this.#takeEvent(frame);
    else if ('result' in frame) this.#takeResult(frame.id, frame.result);
    else if ('error' in frame) this.#takeError(frame.id, frame.error);
    else throw errorFromWire('fatal' in frame ? frame.fatal : frame.refused);
  }

  /** A reply whose request was given up is dropped; one that was never asked for ends the session. */
  #takeResult(id: number, result: unknown): void {
    const pending = this.#settle(id);
    if (pending === undefined) return;
    try {
      pending.resolve(result);
    } catch (error) {
      pending.reject(error);
    }
  }

  #takeError(id: number, error: WireError): void {
    this.#streams.delete(id);
    this.#settle(id)?.reject(errorFromWire(error));
  }

  #settle(id: number): Pending | undefined {
    if (id >= this.#nextId)
      throw new PynqLlmError('PROTOCOL_OUT_OF_ORDER', `A reply came to request ${id}, which was not sent.`);
    return this.#forget(id);
  }

  #forget(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.forget();
    return pending;
  }

  #giveUp(id: number, reason: unknown): void {
    this.#forget(id)?.reject(reason);
  }

  /** One timer for all requests, set to the earliest deadline: a timer for each would cost as much as its frame. */
  #watchDeadlines(timeoutMs: number): void {
    const { clock } = this.#options;
    const at = clock.now() + timeoutMs;
    if (this.#deadlines !== undefined && this.#deadlines.at <= at) return;
    this.#deadlines?.cancel();
    const cancel = clock.after(timeoutMs, () => {
      this.#deadlines = undefined;
      this.#expire(clock.now());
    });
    this.#deadlines = { at, cancel };
  }

  #expire(now: number): void {
    let next = Number.POSITIVE_INFINITY;
    for (const [id, { method, dueAt, timeoutMs }] of [...this.#pending]) {
      if (dueAt > now) next = Math.min(next, dueAt);
      else
        this.#giveUp(
          id,
          new PynqLlmError('PROTOCOL_REQUEST_TIMEOUT', `No reply to ${method} came within ${timeoutMs} ms.`, {
            context: { method, timeoutMs },
          }),
        );
    }
    if (next < Number.POSITIVE_INFINITY) this.#watchDeadlines(next - now);
  }

  #takeEvent(frame: EventFrame): void {
    if (frame.stream >= this.#nextId)
      throw new PynqLlmError(
        'PROTOCOL_OUT_OF_ORDER',
        `An event came for stream ${frame.stream}, which was not opened.`,
      );
    const stream = this.#streams.get(frame.stream);
    if (stream === undefined) return;
    if (frame.seq !== stream.next)
      throw new PynqLlmError(
        'PROTOCOL_OUT_OF_ORDER',
        `Event ${frame.seq} of ${stream.method} came where ${stream.next} was due.`,
      );
    stream.next++;
    stream.onEvent(frame.event);
  }

  #send(frame: ClientFrame): void {
    if (this.#ended === undefined) this.#options.send(encodeFrame(frame));
  }
}
