import { setMaxListeners } from 'node:events';
import { performance } from 'node:perf_hooks';
import type { Msg, MsgHdrs, NatsConnection, Subscription } from '@nats-io/transport-node';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { deferred } from '../deferred.js';
import { notPermitted, typedError } from './errors.js';

/** What the subjects of JetStream's interface begin with in an account that has it. */
export const JETSTREAM_API = '$JS.API';

/** What is subscribed again on each new connection. */
export interface Attachment {
  start(connection: NatsConnection): Subscription;
  /** Told where the broker refuses it; it is not started again. */
  refused(error: PynqLlmError): void;
}

/**
 * A connection to a broker that comes back. Reconnecting is done here and not by the client library: that one measures its pauses
 * by the system's clock, and after the clock was set back it would not try again for as long.
 */
export class NatsLink {
  readonly #open: () => Promise<NatsConnection>;
  readonly #onError: (error: PynqLlmError) => void;
  readonly #attachments = new Map<Attachment, Subscription | undefined>();
  readonly #listeners = new Set<(connected: boolean) => void>();
  readonly #closing = new AbortController();
  /** By subject: who waits for an answer that does not come where the broker refuses the question. */
  readonly #refusals = new Map<string, Set<(error: PynqLlmError) => void>>();
  /** What the broker was found to have, by the question that was asked, and the connection on which it was. */
  readonly #found = new Map<string, NatsConnection>();
  #connection: NatsConnection | undefined;
  #maxPayload = 0;
  /** Settled when there is a connection again, or never will be. */
  #up = deferred<void>();
  #lastProblem: PynqLlmError | undefined;

  /**
   * @param open makes a connection and checks it @param onError hears what belongs to no call
   * @param api what the subjects of JetStream's interface begin with
   */
  constructor(
    open: () => Promise<NatsConnection>,
    onError: (error: PynqLlmError) => void,
    readonly api: string = JETSTREAM_API,
  ) {
    this.#open = open;
    this.#onError = onError;
    // Each reader and wait hears of its end.
    setMaxListeners(0, this.#closing.signal);
  }

  /** The first connection. @throws what `open` throws: without a first one, none is tried again */
  async connect(): Promise<void> {
    this.#take(await this.#open());
  }
  get connection(): NatsConnection | undefined {
    return this.#connection;
  }
  /** Of the last connection; a broker may come back with another. */
  get maxPayload(): number {
    return this.#maxPayload;
  }
  get closed(): AbortSignal {
    return this.#closing.signal;
  }
  onConnection(listener: (connected: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @returns the connection, once there is one @throws BUS_UNAVAILABLE at `untilMs` of performance.now(), BUS_CLOSED */
  async up(untilMs: number): Promise<NatsConnection> {
    for (;;) {
      this.checkOpen();
      if (this.#connection) return this.#connection;
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) throw this.unavailable();
      await withTimeout(this.#up.promise, leftMs);
    }
  }

  /**
   * Asks the broker itself, again after a lost connection: what is asked has to be the same when it is done twice.
   * @throws BUS_UNAVAILABLE, BUS_CLOSED, BUS_NOT_PERMITTED; what `missing` makes where nothing answers on the subject
   */
  async call(
    subject: string,
    payload: Uint8Array | string,
    timeoutMs: number,
    missing: () => PynqLlmError,
    headers?: MsgHdrs,
  ): Promise<Msg> {
    const untilMs = performance.now() + timeoutMs;
    for (let unanswered = 0; ; ) {
      const connection = await this.up(untilMs);
      const timeout = Math.ceil(untilMs - performance.now());
      if (timeout <= 0) throw this.unavailable();
      try {
        return await this.ask(connection, subject, payload, timeout, headers);
      } catch (error) {
        const typed = typedError(error, subject);
        if (isPynqLlmError(typed, 'BUS_NO_RESPONDER')) {
          // A broker that ends stops answering before it closes connections.
          if (++unanswered === 3) throw missing();
          await withTimeout(new Promise(() => {}), Math.min(100, timeout));
        } else if (!isPynqLlmError(typed, 'BUS_UNAVAILABLE') || performance.now() >= untilMs)
          throw this.#orClosed(typed);
        else if (connection === this.#connection) await withTimeout(connection.closed(), timeout);
      }
    }
  }

  /** Asks once. @throws what the client library throws; BUS_UNAVAILABLE where the connection is lost */
  async ask(
    connection: NatsConnection,
    subject: string,
    payload: Uint8Array | string,
    timeout: number,
    headers?: MsgHdrs,
  ): Promise<Msg> {
    // A question that is asked while the connection ends is not told of it by the library.
    const lost = deferred<never>();
    const forget = this.onConnection((connected) => {
      if (!connected) lost.reject(this.unavailable());
    });
    try {
      if (connection !== this.#connection) throw this.unavailable();
      const answer = connection.request(subject, payload, { timeout, ...(headers && { headers }) });
      return await Promise.race([answer, lost.promise]);
    } finally {
      forget();
    }
  }

  /** Runs `ask` once on each connection, until `forget`: a broker says nothing to who uses what it does not have. */
  async findOnce(question: string, ask: () => Promise<unknown>): Promise<void> {
    const connection = this.#connection;
    if (connection && this.#found.get(question) === connection) return;
    await ask();
    if (connection) this.#found.set(question, connection);
  }
  forget(question: string): void {
    this.#found.delete(question);
  }

  /** Subscribes now and on each later connection. @returns what ends it */
  attach(attachment: Attachment): () => void {
    this.checkOpen();
    this.#attachments.set(attachment, undefined);
    if (this.#connection) this.#start(attachment, this.#connection);
    return () => {
      this.#attachments.get(attachment)?.unsubscribe();
      this.#attachments.delete(attachment);
    };
  }
  /** Hears that publishing on `subject` is refused. @returns what ends it */
  onRefused(subject: string, listener: (error: PynqLlmError) => void): () => void {
    const listeners = this.#refusals.get(subject) ?? new Set();
    this.#refusals.set(subject, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#refusals.delete(subject);
    };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#up.resolve();
    await this.#connection?.close();
  }
  /** @throws BUS_CLOSED */
  checkOpen(): void {
    if (this.#closing.signal.aborted)
      throw new PynqLlmError('BUS_CLOSED', 'The connection to the broker was closed.');
  }
  unavailable(): PynqLlmError {
    const why = this.#connection
      ? 'The broker did not answer in time.'
      : `There is no connection to the broker: ${this.#lastProblem?.what ?? 'it was lost.'}`;
    return new PynqLlmError('BUS_UNAVAILABLE', why, { cause: this.#lastProblem });
  }

  #orClosed(error: PynqLlmError): PynqLlmError {
    if (!this.#closing.signal.aborted) return error;
    return new PynqLlmError('BUS_CLOSED', 'The connection to the broker was closed.', { cause: error });
  }

  #take(connection: NatsConnection): void {
    this.#connection = connection;
    this.#lastProblem = undefined;
    this.#maxPayload = connection.info!.max_payload;
    for (const attachment of this.#attachments.keys()) this.#start(attachment, connection);
    this.#up.resolve();
    void this.#hear(connection);
    void connection.closed().then((error) => this.#lost(connection, error ?? undefined));
    for (const listener of [...this.#listeners]) listener(true);
  }
  #start(attachment: Attachment, connection: NatsConnection): void {
    // Lost, and not heard of yet: the next connection has it.
    if (connection.isClosed()) return;
    const subscription = attachment.start(connection);
    this.#attachments.set(attachment, subscription);
    void subscription.closed.then((error) => {
      if (!(error instanceof Error) || !this.#attachments.delete(attachment)) return;
      attachment.refused(typedError(error, subscription.getSubject()));
    });
  }
  async #hear(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      if (status.type !== 'error') continue;
      const refused = notPermitted(status.error);
      const waiting = refused && this.#refusals.get(refused.subject);
      if (waiting) for (const listener of [...waiting]) listener(refused.error);
      else this.#onError(refused?.error ?? typedError(status.error, 'the connection'));
    }
  }
  #lost(connection: NatsConnection, error: Error | undefined): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#up = deferred();
    if (error) this.#lastProblem = typedError(error, 'the connection');
    if (this.#closing.signal.aborted) this.#up.resolve();
    else void this.#reconnect();
    for (const listener of [...this.#listeners]) listener(false);
  }

  async #reconnect(): Promise<void> {
    for (let pauseMs = 50; !this.#closing.signal.aborted; pauseMs = Math.min(1_000, pauseMs * 2)) {
      // Not all members of a fleet at once.
      await withTimeout(this.#up.promise, pauseMs * (0.75 + Math.random() / 2));
      if (this.#closing.signal.aborted) return;
      try {
        const connection = await this.#open();
        if (this.#closing.signal.aborted) return void connection.close();
        return this.#take(connection);
      } catch (error) {
        this.#lastProblem = typedError(error, 'the connection');
      }
    }
  }
}

/** Waits for `promise`, at most `ms`; what it gives does not matter. */
async function withTimeout(promise: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
