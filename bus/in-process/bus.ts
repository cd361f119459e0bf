import { setMaxListeners } from 'node:events';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { errorToWire } from '../../protocol/index.js';
import { Backlog } from '../backlog.js';
import type {
  AnswerOptions,
  BucketConfig,
  Bus,
  KeyValue,
  Log,
  LogConfig,
  MessageHandler,
  QueueConfig,
  RequestHandler,
  SubscribeOptions,
  Subscription,
  WaitOptions,
  WorkQueue,
} from '../bus.js';
import {
  checkBucket,
  checkLog,
  checkName,
  checkPattern,
  checkPayload,
  checkQueue,
  checkSubject,
  timeoutOf,
} from '../checks.js';
import { deferred } from '../deferred.js';
import { InProcessKeyValue } from './key-value.js';
import { InProcessLog } from './log.js';
import { InProcessQueue } from './queue.js';
import type { BrokerState, Connection, Envelope } from './state.js';

/** One party's connection to the broker of this process. */
export class InProcessBus implements Bus, Connection {
  readonly name: string;
  readonly maxPayload: number;
  readonly #broker: BrokerState;
  readonly #closing = new AbortController();

  constructor(broker: BrokerState, name: string) {
    this.#broker = broker;
    this.name = name;
    this.maxPayload = broker.maxPayload;
    // Each subscription, reader and wait hears of its end.
    setMaxListeners(0, this.#closing.signal);
  }

  get connected(): boolean {
    return !this.#closing.signal.aborted;
  }
  get closed(): AbortSignal {
    return this.#closing.signal;
  }
  open(): BrokerState {
    if (this.#closing.signal.aborted)
      throw new PynqLlmError('BUS_CLOSED', `The bus (${this.name}) is closed.`);
    return this.#broker;
  }

  publish(subject: string, data: Uint8Array): boolean {
    checkSubject(subject);
    checkPayload(data, this.maxPayload);
    this.open().send({ subject, data: new Uint8Array(data) });
    return true;
  }

  subscribe(pattern: string, handler: MessageHandler, options: SubscribeOptions = {}): Subscription {
    const run = async ({ subject, data }: Envelope) => {
      try {
        await handler({ subject, data });
      } catch (error) {
        options.onError?.(error);
      }
    };
    return this.#listen(pattern, options, new Backlog(run, options.limits));
  }

  async request(subject: string, data: Uint8Array, options?: WaitOptions): Promise<Uint8Array> {
    checkSubject(subject);
    checkPayload(data, this.maxPayload);
    const timeoutMs = timeoutOf(options);
    const broker = this.open();
    const { promise, resolve, reject } = deferred<Uint8Array>();
    const reply = (answer: Uint8Array | PynqLlmError) =>
      isPynqLlmError(answer) ? reject(answer) : resolve(answer);
    const close = () => reject(new PynqLlmError('BUS_CLOSED', 'The bus was closed during a request.'));
    const late = `${subject} was not answered within ${timeoutMs} ms.`;
    const timer = setTimeout(
      () => reject(new PynqLlmError('BUS_REQUEST_TIMEOUT', late, { context: { subject, timeoutMs } })),
      timeoutMs,
    );
    this.closed.addEventListener('abort', close);
    try {
      if (broker.send({ subject, data: new Uint8Array(data), reply }) === 0)
        throw new PynqLlmError('BUS_NO_RESPONDER', `Nobody answers on ${subject}.`, { context: { subject } });
      return await promise;
    } finally {
      clearTimeout(timer);
      this.closed.removeEventListener('abort', close);
    }
  }

  answer(pattern: string, handler: RequestHandler, options: AnswerOptions = {}): Subscription {
    const run = async ({ subject, data, reply }: Envelope) => {
      try {
        const answer = await handler({ subject, data });
        checkPayload(answer, this.maxPayload);
        reply?.(new Uint8Array(answer));
      } catch (error) {
        if (!isPynqLlmError(error)) options.onError?.(error);
        reply?.(isPynqLlmError(error) ? error : failed(error));
      }
    };
    const backlog = new Backlog<Envelope>(run, options.limits, options.concurrency ?? 16);
    return this.#listen(pattern, options, backlog, ({ subject, reply }) =>
      reply?.(new PynqLlmError('BUS_BUSY', `Too many requests wait on ${subject}.`)),
    );
  }

  async declareQueue(config: QueueConfig): Promise<void> {
    checkQueue(config);
    this.open().declareQueue(config);
  }
  async declareLog(config: LogConfig): Promise<void> {
    checkLog(config);
    this.open().declareLog(config);
  }
  async declareBucket(config: BucketConfig): Promise<void> {
    checkBucket(config);
    this.open().declareBucket(config);
  }
  queue(name: string): WorkQueue {
    checkName(name);
    return new InProcessQueue(this, name);
  }
  log(name: string): Log {
    checkName(name);
    return new InProcessLog(this, name);
  }
  bucket(name: string): KeyValue {
    checkName(name);
    return new InProcessKeyValue(this, name);
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    const close = () => listener(false);
    this.closed.addEventListener('abort', close);
    return () => this.closed.removeEventListener('abort', close);
  }
  async close(): Promise<void> {
    this.#closing.abort();
  }

  #listen(
    pattern: string,
    { group }: SubscribeOptions,
    backlog: Backlog<Envelope>,
    refuse: (envelope: Envelope) => void = () => {},
  ): Subscription {
    checkPattern(pattern);
    if (group !== undefined) checkName(group);
    // As a network would: what is published is heard after the publisher has gone on.
    const take = (envelope: Envelope) =>
      queueMicrotask(() => {
        if (!backlog.push(envelope)) refuse(envelope);
      });
    const forget = this.open().listen({ pattern, group, take });
    const close = () => {
      forget();
      backlog.close();
      this.closed.removeEventListener('abort', close);
    };
    this.closed.addEventListener('abort', close);
    return {
      get dropped() {
        return backlog.dropped;
      },
      ready: Promise.resolve(),
      close,
    };
  }
}

function failed(error: unknown): PynqLlmError {
  return new PynqLlmError('BUS_REQUEST_FAILED', errorToWire(error, 'BUS_REQUEST_FAILED').message, {
    cause: error,
  });
}
