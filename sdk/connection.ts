import type { Readable } from 'node:stream';
import { isPynqLlmError, PynqLlmError } from '../errors/index.js';
import {
  ClientSession,
  type HelloResult,
  type MethodName,
  type Params,
  type Result,
  type StreamEvent,
  type StreamMethodName,
  systemClock,
  type UploadRange,
} from '../protocol/index.js';
import { askAgain } from './broken.js';
import { delay } from './delay.js';
import { LOOKUPS } from './lookups.js';
import type { OpenTransport, Transport } from './transports/transport.js';

const FIRST_DELAY_MS = 50;
const MOST_DELAY_MS = 2_000;
/** Of several places, one that does not answer is left for the next after so long. */
const PLACE_MS = 5_000;

export interface ConnectionOptions {
  readonly client: string;
  readonly token: string | undefined;
  /** Deadline of a connection attempt and, unless told otherwise, of a request. */
  readonly timeoutMs: number;
  /** How long a lost connection is tried again; 0 for not at all. */
  readonly reconnectMs: number;
  readonly onConnection?: ((event: ConnectionEvent) => void) | undefined;
}

/** What happens to a connection after it was made. */
export type ConnectionEvent =
  /** It broke and is tried again; what is under way waits meanwhile. */
  | {
      readonly type: 'lost';
      /** Why it broke. */
      readonly reason: PynqLlmError;
      /** Milliseconds for which it is tried again. */
      readonly retryMs: number;
    }
  | { readonly type: 'restored' };

/** How long a request may take. */
export interface CallOptions {
  /** Milliseconds to wait for the reply; those of the connection unless given. */
  readonly timeoutMs?: number | undefined;
  /** Gives up waiting; the request then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A stream that somebody reads; `onLost` is told when its connection is gone. */
export interface StreamReader<M extends StreamMethodName> {
  onEvent(event: StreamEvent<M>): void;
  onLost(reason: PynqLlmError): void;
}

export interface OpenedStream<M extends StreamMethodName> {
  readonly result: Promise<Result<M>>;
  /** Lets the agent send events numbered below `credit`. */
  grant(credit: number): void;
  /** No more events are wanted; the agent is told unless `ended`, which means that it sent the last one. */
  release(ended: boolean): void;
}

interface Live {
  readonly session: ClientSession;
  readonly transport: Transport;
}

/** A session that is made again when its connection breaks, until it is closed. */
export class Connection {
  readonly #places: readonly OpenTransport[];
  /** Which of them is tried next: the one that answered last. */
  #place = 0;
  readonly #options: ConnectionOptions;
  readonly #closing = new AbortController();
  readonly #readers = new Set<(reason: PynqLlmError) => void>();
  #live: Promise<Live>;
  /** The session of `#live` once there is one. */
  #current: ClientSession | undefined;
  #hello: HelloResult | undefined;
  /** Resolves with the reason when the connection is lost and not tried any more; never where it was closed. */
  readonly lost: Promise<unknown>;
  #tellLost!: (reason: unknown) => void;

  private constructor(places: readonly OpenTransport[], options: ConnectionOptions) {
    this.#places = places;
    this.#options = options;
    this.#live = Promise.reject(closedError());
    this.#live.catch(() => {});
    this.lost = new Promise((resolve) => {
      this.#tellLost = resolve;
    });
  }

  /**
   * @param places a way to one place, or to several of which one answers: the gateways of a fleet
   * @throws PynqLlmError SDK_CONNECT_FAILED, PROTOCOL_VERSION_MISMATCH, AGENT_UNAUTHORISED, FLEET_STANDBY
   */
  static async open(
    places: OpenTransport | readonly OpenTransport[],
    options: ConnectionOptions,
    signal?: AbortSignal,
  ): Promise<Connection> {
    const connection = new Connection(typeof places === 'function' ? [places] : places, options);
    connection.#live = connection.#first(options.timeoutMs, signal);
    await connection.#live;
    return connection;
  }

  /** What the agent said about itself and this session. */
  get hello(): HelloResult {
    if (this.#hello === undefined) throw new Error('an open connection has said hello');
    return this.#hello;
  }

  /** Whether there is a connection now; while it is made again there is none. */
  get isOpen(): boolean {
    return this.#current?.isOpen ?? false;
  }

  /** Waits until there is a connection. @throws PynqLlmError SDK_CONNECTION_LOST, SDK_CLOSED */
  async ready(): Promise<void> {
    await this.#session();
  }

  request<M extends MethodName>(method: M, params: Params<M>, options: CallOptions = {}): Promise<Result<M>> {
    if (LOOKUPS.has(method)) return this.#lookUp(method, params, options);
    // Without a turn of the microtask queue where there is a session: the way of a register read is short.
    if (this.#current?.isOpen) return this.#current.request(method, params, this.#requestOptions(options));
    return this.#session().then((session) => session.request(method, params, this.#requestOptions(options)));
  }

  /** Asks again on the next connection where one breaks meanwhile, as where another gateway of a fleet takes over. */
  async #lookUp<M extends MethodName>(
    method: M,
    params: Params<M>,
    options: CallOptions,
  ): Promise<Result<M>> {
    let session: ClientSession | undefined;
    const ask = async () => {
      session = undefined;
      session = await this.#session();
      return session.request(method, params, this.#requestOptions(options));
    };
    return askAgain(ask, () => session?.isOpen === false);
  }

  /**
   * Sends bytes of an upload that the session of now began; resolves when the agent has written them.
   * @param body has the bytes of the range
   * @throws as Transport.sendUpload; SDK_CONNECTION_LOST also where it does not end within `timeoutMs`
   */
  async sendUpload(
    id: string,
    range: UploadRange,
    body: Readable,
    { timeoutMs = this.#options.timeoutMs, signal }: CallOptions,
  ): Promise<void> {
    const deadline = AbortSignal.timeout(timeoutMs);
    const either = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
    try {
      const { transport } = await this.#live;
      await transport.sendUpload(id, range, body, { token: this.#options.token, signal: either });
    } catch (error) {
      if (!deadline.aborted || error !== deadline.reason) throw error;
      throw new PynqLlmError(
        'SDK_CONNECTION_LOST',
        `The agent took ${range.byteLength} bytes of an upload for more than ${timeoutMs} ms.`,
      );
    }
  }

  async openStream<M extends StreamMethodName>(
    method: M,
    params: Params<M>,
    reader: StreamReader<M>,
    options: CallOptions = {},
  ): Promise<OpenedStream<M>> {
    const session = await this.#session();
    const onLost = (reason: PynqLlmError) => reader.onLost(reason);
    const opened = session.openStream(
      method,
      params,
      (event) => reader.onEvent(event),
      this.#requestOptions(options),
    );
    this.#readers.add(onLost);
    const release = (ended: boolean) => {
      this.#readers.delete(onLost);
      opened.release();
      if (!ended)
        session
          .request('stream.close', { stream: opened.stream.id }, this.#requestOptions({}))
          .catch(() => {});
    };
    return { result: opened.result, grant: (credit) => opened.stream.grant(credit), release };
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    const reason = closedError();
    this.#closing.abort(reason);
    const live = await this.#live.catch(() => undefined);
    live?.session.end(reason);
    await live?.transport.close();
  }

  /** The open session. One that ended just now has been replaced by the attempt to make the next. */
  async #session(): Promise<ClientSession> {
    for (;;) {
      const { session } = await this.#live;
      if (session.isOpen) return session;
    }
  }

  #requestOptions({ timeoutMs = this.#options.timeoutMs, signal }: CallOptions) {
    return { timeoutMs, signal };
  }

  /** Where one of several places has said that it stands by, one of them leads soon: until then it is waited for. */
  async #first(timeoutMs: number, signal?: AbortSignal): Promise<Live> {
    const end = performance.now() + timeoutMs;
    for (let wait = FIRST_DELAY_MS; ; wait = Math.min(MOST_DELAY_MS, wait * 2)) {
      const failures: unknown[] = [];
      try {
        return await this.#round(end, failures, signal);
      } catch (error) {
        const standby = failures.find((one) => isPynqLlmError(one, 'FLEET_STANDBY'));
        if (standby === undefined || !isRetried(error)) throw error;
        if (this.#places.length === 1 || performance.now() + wait >= end) throw standby;
        const signals = [this.#closing.signal, ...(signal === undefined ? [] : [signal])];
        await delay(wait * (0.5 + Math.random() / 2), AbortSignal.any(signals));
      }
    }
  }

  /**
   * Tries each place once, beginning with the one that answered last.
   * @param failures gets what each that failed has said
   * @throws what the last one failed with, with what the others did; at once what another attempt would not mend
   */
  async #round(end: number, failures: unknown[], signal?: AbortSignal): Promise<Live> {
    const { timeoutMs } = this.#options;
    const most = this.#places.length === 1 ? timeoutMs : Math.min(timeoutMs, PLACE_MS);
    for (;;) {
      const leftMs = Math.max(1, Math.ceil(end - performance.now()));
      try {
        return await this.#attempt(Math.min(most, leftMs), signal);
      } catch (error) {
        failures.push(error);
        this.#place = (this.#place + 1) % this.#places.length;
        if (!isRetried(error)) throw error;
        if (failures.length === this.#places.length) throw allOf(failures, error);
      }
    }
  }

  async #attempt(timeoutMs: number, signal?: AbortSignal): Promise<Live> {
    const open = this.#places[this.#place];
    const deadline = AbortSignal.timeout(timeoutMs);
    const signals = [this.#closing.signal, deadline, ...(signal === undefined ? [] : [signal])];
    const either = AbortSignal.any(signals);
    let transport: Transport | undefined;
    let live: Live | undefined;
    const session = new ClientSession({
      clock: systemClock,
      send: (frame) => transport?.send(frame),
      onEnd: (reason) => {
        if (live !== undefined) this.#onEnd(live, reason);
      },
    });
    try {
      transport = await open(
        { onFrame: (frame) => session.receive(frame), onClose: (reason) => session.end(reason) },
        either,
      );
      this.#hello = await session.hello(this.#options.client, this.#options.token, {
        timeoutMs,
        signal: either,
      });
    } catch (error) {
      await transport?.close();
      if (deadline.aborted && error === deadline.reason)
        throw new PynqLlmError(
          'SDK_CONNECT_FAILED',
          `No connection${open.place === undefined ? '' : ` to ${open.place}`} within ${timeoutMs} ms.`,
          { cause: error },
        );
      throw error;
    }
    if (!session.isOpen)
      throw new PynqLlmError('SDK_CONNECTION_LOST', 'The session ended as soon as it was open.');
    live = { session, transport };
    this.#current = session;
    return live;
  }

  #onEnd(live: Live, reason: PynqLlmError): void {
    if (this.#closing.signal.aborted) {
      this.#live = Promise.reject(reason);
      this.#live.catch(() => {});
      this.#tellReaders(reason);
      return;
    }
    void live.transport.close();
    const { reconnectMs } = this.#options;
    this.#live = reconnectMs > 0 ? this.#reconnect(lostError(reason)) : Promise.reject(lostError(reason));
    this.#live.catch((error: unknown) => {
      if (!this.#closing.signal.aborted) this.#tellLost(error);
    });
    this.#tellReaders(lostError(reason));
  }

  #tellReaders(reason: PynqLlmError): void {
    const readers = [...this.#readers];
    this.#readers.clear();
    for (const onLost of readers) onLost(reason);
  }

  async #reconnect(lost: PynqLlmError): Promise<Live> {
    const { reconnectMs, onConnection } = this.#options;
    onConnection?.({ type: 'lost', reason: lost, retryMs: reconnectMs });
    const end = performance.now() + reconnectMs;
    let wait = FIRST_DELAY_MS;
    let last: PynqLlmError | undefined;
    while (performance.now() < end) {
      // Clients that lost the same agent come back at different times.
      await delay(wait * (0.5 + Math.random() / 2), this.#closing.signal).catch(() => {});
      if (this.#closing.signal.aborted) throw closedError();
      try {
        // The last attempt ends with the time that there is for all of them.
        const live = await this.#round(end, []);
        onConnection?.({ type: 'restored' });
        return live;
      } catch (error) {
        if (!isRetried(error)) throw error;
        last = error;
      }
      wait = Math.min(MOST_DELAY_MS, wait * 2);
    }
    const seconds = Math.round(reconnectMs / 100) / 10;
    const why = last === undefined ? '' : ` ${last.what}`;
    throw new PynqLlmError(
      'SDK_CONNECTION_LOST',
      `${lost.what} It could not be made again within ${seconds} s.${why}`,
      { cause: last ?? lost, context: lost.context },
    );
  }
}

/** What may be over by the next attempt. A wrong token or version will not be. */
const RETRIED: ReadonlySet<string> = new Set([
  'SDK_CONNECT_FAILED',
  'SDK_CONNECTION_LOST',
  'AGENT_TOO_MANY_SESSIONS',
  'AGENT_CLOSING',
  'FLEET_STANDBY',
  'PROTOCOL_REQUEST_TIMEOUT',
  'SSH_UNREACHABLE',
  'SSH_TIMEOUT',
  'SSH_CONNECTION_LOST',
  'SSH_FORWARD_FAILED',
]);

function isRetried(error: unknown): error is PynqLlmError {
  return isPynqLlmError(error) && RETRIED.has(error.code);
}

/** @param last of them */
function allOf(failures: readonly unknown[], last: PynqLlmError): PynqLlmError {
  const said = new Set(failures.map((one) => (isPynqLlmError(one) ? one.what : String(one))));
  if (said.size === 1) return last;
  const what = `None of ${failures.length} addresses can be used. ${[...said].join(' ')}`;
  return new PynqLlmError(last.code, what, { cause: last, context: last.context });
}

function lostError(reason: PynqLlmError): PynqLlmError {
  if (reason.code === 'SDK_CONNECTION_LOST') return reason;
  return new PynqLlmError('SDK_CONNECTION_LOST', `The session ended: ${reason.what}`, {
    cause: reason,
    context: { reason: reason.code },
  });
}

function closedError(): PynqLlmError {
  return new PynqLlmError('SDK_CLOSED', 'The client was closed.');
}
