import type { Msg } from '@nats-io/transport-node';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { errorFromWire, errorToWire, wireError } from '../../protocol/index.js';
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
  HEADER_ROOM,
  timeoutOf,
} from '../checks.js';
import { isTimeout, typedError } from './errors.js';
import { NatsKeyValue } from './key-value.js';
import { LaneCounts } from './lane-counts.js';
import type { nats } from './library.js';
import type { NatsLink } from './link.js';
import { NatsLog } from './log.js';
import { NatsQueue } from './queue.js';
import { declareBucket, declareLog, declareQueue } from './streams.js';
import { subscribed } from './subscribed.js';

/** Carries an answerer's error, as JSON. */
const ERROR_HEADER = 'Bus-Error';
/** Answers go to inboxes alone, or to what the broker has in their place between accounts: with another subject in its place, whoever asks could have them stored in others' logs. */
const INBOX = /^(_INBOX[A-Za-z0-9_-]*|_R_)\.[A-Za-z0-9_.-]+$/;

type NatsLibrary = Pick<typeof nats, 'headers' | 'createInbox'>;

/** A connection to a NATS server with JetStream. */
export class NatsBus implements Bus {
  readonly name: string;
  readonly #link: NatsLink;
  readonly #library: NatsLibrary;
  readonly #inboxPrefix: string;
  readonly #appends = new Map<string, Promise<unknown>>();
  readonly #counts = new LaneCounts();

  constructor(link: NatsLink, library: NatsLibrary, name: string, inboxPrefix: string) {
    this.#link = link;
    this.#library = library;
    this.name = name;
    this.#inboxPrefix = inboxPrefix;
  }

  get maxPayload(): number {
    return this.#link.maxPayload - HEADER_ROOM;
  }
  get connected(): boolean {
    return this.#link.connection !== undefined;
  }

  publish(subject: string, data: Uint8Array): boolean {
    checkSubject(subject);
    checkPayload(data, this.maxPayload);
    this.#link.checkOpen();
    const { connection } = this.#link;
    if (!connection || connection.isClosed()) return false;
    connection.publish(subject, new Uint8Array(data));
    return true;
  }

  subscribe(pattern: string, handler: MessageHandler, options: SubscribeOptions = {}): Subscription {
    checkPattern(pattern);
    if (options.group !== undefined) checkName(options.group);
    const run = async ({ subject, data }: Msg) => {
      try {
        await handler({ subject, data: new Uint8Array(data) });
      } catch (error) {
        options.onError?.(error);
      }
    };
    const backlog = new Backlog<Msg>(run, options.limits);
    return this.#subscribe(pattern, options, backlog, () => {});
  }

  async request(subject: string, data: Uint8Array, options?: WaitOptions): Promise<Uint8Array> {
    checkSubject(subject);
    checkPayload(data, this.maxPayload);
    const timeoutMs = timeoutOf(options);
    const untilMs = performance.now() + timeoutMs;
    const connection = await this.#link.up(untilMs);
    const timeout = Math.max(1, Math.ceil(untilMs - performance.now()));
    try {
      return readAnswer(await this.#link.ask(connection, subject, new Uint8Array(data), timeout), subject);
    } catch (error) {
      this.#link.checkOpen();
      if (isPynqLlmError(error)) throw error;
      const late = `${subject} was not answered within ${timeoutMs} ms.`;
      if (isTimeout(error))
        throw new PynqLlmError('BUS_REQUEST_TIMEOUT', late, { context: { subject, timeoutMs } });
      throw typedError(error, subject);
    }
  }

  answer(pattern: string, handler: RequestHandler, options: AnswerOptions = {}): Subscription {
    checkPattern(pattern);
    if (options.group !== undefined) checkName(options.group);
    const run = async (message: Msg) => {
      try {
        const answer = await handler({ subject: message.subject, data: new Uint8Array(message.data) });
        checkPayload(answer, this.maxPayload);
        message.respond(new Uint8Array(answer));
      } catch (error) {
        if (!isPynqLlmError(error)) options.onError?.(error);
        this.#refuse(message, error);
      }
    };
    const backlog = new Backlog<Msg>(run, options.limits, options.concurrency ?? 16);
    return this.#subscribe(
      pattern,
      options,
      backlog,
      (message) => {
        const what = `Too many requests wait on ${message.subject}.`;
        this.#refuse(message, new PynqLlmError('BUS_BUSY', what));
      },
      ({ reply }) => reply !== undefined && INBOX.test(reply),
    );
  }

  async declareQueue(config: QueueConfig, options?: WaitOptions): Promise<void> {
    checkQueue(config);
    await declareQueue(this.#link, config, timeoutOf(options));
  }
  async declareLog(config: LogConfig, options?: WaitOptions): Promise<void> {
    checkLog(config);
    await declareLog(this.#link, config, timeoutOf(options));
  }
  async declareBucket(config: BucketConfig, options?: WaitOptions): Promise<void> {
    checkBucket(config);
    await declareBucket(this.#link, config, timeoutOf(options));
  }
  queue(name: string): WorkQueue {
    checkName(name);
    const inbox = () => this.#library.createInbox(this.#inboxPrefix);
    return new NatsQueue(this.#link, name, inbox, this.#library.headers, () => this.maxPayload, this.#counts);
  }
  log(name: string): Log {
    checkName(name);
    return new NatsLog(this.#link, name, this.#library.headers, () => this.maxPayload, this.#appends);
  }
  bucket(name: string): KeyValue {
    checkName(name);
    return new NatsKeyValue(this.#link, name, this.#library.headers, () => this.maxPayload);
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    return this.#link.onConnection(listener);
  }
  async close(): Promise<void> {
    await this.#link.close();
  }

  #subscribe(
    pattern: string,
    options: SubscribeOptions,
    backlog: Backlog<Msg>,
    refuse: (message: Msg) => void,
    accept: (message: Msg) => boolean = () => true,
  ): Subscription {
    const hear = (message: Msg) => {
      if (accept(message) && !backlog.push(message)) refuse(message);
    };
    const subscription = subscribed(this.#link, pattern, options, hear, () => backlog.dropped);
    const close = () => {
      subscription.close();
      backlog.close();
    };
    return {
      get dropped() {
        return subscription.dropped;
      },
      ready: subscription.ready,
      close,
    };
  }

  #refuse(message: Msg, error: unknown): void {
    const headers = this.#library.headers();
    headers.set(ERROR_HEADER, JSON.stringify(headerText(errorToWire(error, 'BUS_REQUEST_FAILED'))));
    try {
      message.respond(new Uint8Array(), { headers });
    } catch {
      // The connection is gone, and with it who asked.
    }
  }
}

/** A header holds one line of Latin letters. */
function headerText(error: { code: string; message: string; context: object }): unknown {
  const context = JSON.stringify(error.context);
  return {
    code: error.code,
    message: encodeURIComponent(error.message.slice(0, 2_000)),
    context: encodeURIComponent(context.length > 2_000 ? '{}' : context),
  };
}

function readAnswer(message: Msg, subject: string): Uint8Array {
  const text = message.headers?.get(ERROR_HEADER) ?? '';
  if (text === '') return new Uint8Array(message.data);
  let error: PynqLlmError | undefined;
  try {
    const { code, message: what, context } = JSON.parse(text) as Record<string, string>;
    error = errorFromWire(
      wireError.parse({
        code,
        message: decodeURIComponent(what!),
        context: JSON.parse(decodeURIComponent(context!)),
      }),
    );
  } catch {
    error = new PynqLlmError('BUS_REQUEST_FAILED', `The answer on ${subject} cannot be read.`);
  }
  throw error;
}
