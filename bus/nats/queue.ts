import type { Msg, MsgHdrs, NatsConnection, Subscription as NatsSubscription } from '@nats-io/transport-node';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type {
  Delivery,
  ExhaustedMessage,
  PullOptions,
  QueuedMessage,
  Stored,
  Subscription,
  WaitOptions,
  WorkQueue,
} from '../bus.js';
import { checkId, checkName, checkPayload, checkRange, MAX_WAIT_MS, timeoutOf } from '../checks.js';
import { deferred } from '../deferred.js';
import { NO_MESSAGE } from './errors.js';
import type { NatsLink } from './link.js';
import { ID_HEADER, store } from './publish.js';
import { directGet } from './read-stream.js';
import { askApi, findOnce, nanoseconds } from './streams.js';
import { subscribed } from './subscribed.js';

/** Before the ids of a queue's messages: no subject begins so, and therefore no id of a log or a bucket. */
const ID_PREFIX = '//';
/** $JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<consumer's sequence>.<time>.<pending> */
const ACK_SUBJECT = /^\$JS\.ACK\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.(\d+)\.(\d+)\.\d+\.\d+\.\d+$/;
/** How long a broker may take to say that a wait is over. */
const CHECK_MS = 1_000;
const MAX_PENDING = 10_000;
const MAX_WAITING = 1_024;

/** A work queue on a broker: a stream, and a consumer for each lane. */
export class NatsQueue implements WorkQueue {
  readonly name: string;
  readonly #link: NatsLink;
  readonly #inbox: () => string;
  readonly #headers: () => MsgHdrs;
  readonly #maxPayload: () => number;

  constructor(
    link: NatsLink,
    name: string,
    inbox: () => string,
    headers: () => MsgHdrs,
    maxPayload: () => number,
  ) {
    this.#link = link;
    this.name = name;
    this.#inbox = inbox;
    this.#headers = headers;
    this.#maxPayload = maxPayload;
  }

  async openLane(lane: string, options?: WaitOptions): Promise<void> {
    checkName(lane);
    const timeoutMs = timeoutOf(options);
    const what = `The lane ${lane} of ${this.name} cannot be opened`;
    const { config } = await askApi<{ config: { description?: string } }>(
      this.#link,
      `STREAM.INFO.${this.name}`,
      {},
      timeoutMs,
      what,
    );
    const { ackWaitMs, maxDeliveries } = queueLimits(config.description, what);
    const consumer = {
      durable_name: lane,
      filter_subject: `${this.name}.${lane}`,
      deliver_policy: 'all',
      replay_policy: 'instant',
      ack_policy: 'explicit',
      ack_wait: nanoseconds(ackWaitMs),
      max_deliver: maxDeliveries,
      max_ack_pending: MAX_PENDING,
      max_waiting: MAX_WAITING,
    };
    const request = { stream_name: this.name, config: consumer };
    await askApi(this.#link, `CONSUMER.DURABLE.CREATE.${this.name}.${lane}`, request, timeoutMs, what);
  }
  async deleteLane(lane: string, options?: WaitOptions): Promise<void> {
    checkName(lane);
    const timeoutMs = timeoutOf(options);
    const what = `The lane ${lane} of ${this.name} cannot be deleted`;
    await askApi(this.#link, `CONSUMER.DELETE.${this.name}.${lane}`, {}, timeoutMs, what, ({ err_code }) =>
      err_code === 10_014 ? {} : undefined,
    );
    const filter = `${this.name}.${lane}`;
    await askApi(this.#link, `STREAM.PURGE.${this.name}`, { filter }, timeoutMs, what);
  }
  async put(lane: string, id: string, data: Uint8Array, options?: WaitOptions): Promise<Stored> {
    checkName(lane);
    checkId(id);
    checkPayload(data, this.#maxPayload());
    const subject = `${this.name}.${lane}`;
    const storing = { stream: this.name, subject, id: ID_PREFIX + id, data: new Uint8Array(data) };
    return (await store(this.#link, this.#headers(), storing, timeoutOf(options)))!;
  }

  async pull(lane: string, { waitMs, signal }: PullOptions): Promise<Delivery | undefined> {
    checkName(lane);
    checkRange('waitMs', waitMs, 1, MAX_WAIT_MS);
    const untilMs = performance.now() + waitMs;
    for (let refused = 0; ; ) {
      if (signal?.aborted) return undefined;
      const connection = await this.#upFor(untilMs, signal);
      const leftMs = Math.ceil(untilMs - performance.now());
      if (!connection || leftMs <= 0) return undefined;
      await this.#findLane(lane, leftMs);
      const message = await this.#ask(connection, lane, leftMs, signal);
      if (message === 'ended') return undefined;
      if (message === 'lost') continue;
      if (message === 'silent') {
        this.#link.forget(this.#info(lane));
        await this.#findLane(lane, CHECK_MS);
        return undefined;
      }
      const code = message.headers?.code ?? 0;
      if (code === 0) return this.#delivery(lane, message);
      if (code === 408 || code === 404) return undefined;
      const said = message.headers?.description ?? '';
      if (code === 409 && /deleted/i.test(said)) throw this.#noLane(lane);
      // As while a broker ends.
      if (++refused === 10)
        throw new PynqLlmError('BUS_REFUSED', `No work can be had: the broker says "${said}" (${code}).`);
      await new Promise((resolve) => setTimeout(resolve, Math.min(leftMs, 100)));
    }
  }

  async giveBack(token: string, delayMs = 0, options?: WaitOptions): Promise<void> {
    const subject = this.#ackSubject(token);
    const nak = nakText(delayMs);
    await this.#link.call(subject, nak, timeoutOf(options), () => this.#gone(subject));
  }
  async list(lane: string, options?: WaitOptions): Promise<readonly QueuedMessage[]> {
    checkName(lane);
    const pattern = `${this.name}.${lane}`;
    const found: QueuedMessage[] = [];
    for (let from = 1; ; ) {
      const message = await directGet(this.#link, this.name, { from, pattern }, timeoutOf(options));
      if (!message) return found;
      const { sequence, id, data } = message;
      found.push({ sequence, lane, id: id.slice(ID_PREFIX.length), data });
      from = sequence + 1;
    }
  }
  async remove(sequence: number, options?: WaitOptions): Promise<boolean> {
    checkRange('sequence', sequence, 1, Number.MAX_SAFE_INTEGER);
    const { success } = await askApi<{ success?: boolean }>(
      this.#link,
      `STREAM.MSG.DELETE.${this.name}`,
      { seq: sequence, no_erase: true },
      timeoutOf(options),
      `Message ${sequence} of ${this.name} cannot be removed`,
      // Of a message that is not there, servers say different things.
      ({ err_code }) =>
        err_code === NO_MESSAGE || err_code === 10_043 || err_code === 10_057 ? {} : undefined,
    );
    return success === true;
  }

  onExhausted(handler: (exhausted: ExhaustedMessage) => void): Subscription {
    const hear = (message: Msg) => {
      const exhausted = readAdvisory(message.data, this.name);
      if (exhausted) handler(exhausted);
    };
    const subject = `$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.${this.name}.*`;
    return subscribed(this.#link, subject, {}, hear, () => 0);
  }

  /** The connection, or undefined where `signal` ended the wait. */
  async #upFor(untilMs: number, signal: AbortSignal | undefined): Promise<NatsConnection | undefined> {
    if (!signal) return this.#link.up(untilMs);
    const ended = deferred<undefined>();
    const end = () => ended.resolve(undefined);
    signal.addEventListener('abort', end);
    const up = this.#link.up(untilMs);
    up.catch(() => {});
    try {
      return await Promise.race([up, ended.promise]);
    } finally {
      signal.removeEventListener('abort', end);
    }
  }

  #info(lane: string): string {
    return `CONSUMER.INFO.${this.name}.${lane}`;
  }
  #findLane(lane: string, timeoutMs: number): Promise<void> {
    const what = `The lane ${lane} of ${this.name} cannot be pulled from`;
    return findOnce(this.#link, this.#info(lane), timeoutMs, what);
  }

  /**
   * Asks once for a message.
   * @returns it, or a status; 'lost' with the connection, 'ended' by `signal`, 'silent' where the broker did not even end the wait
   */
  async #ask(
    connection: NatsConnection,
    lane: string,
    waitMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Msg | 'lost' | 'ended' | 'silent'> {
    const api = `$JS.API.CONSUMER.MSG.NEXT.${this.name}.${lane}`;
    const inbox = this.#inbox();
    const { promise, resolve, reject } = deferred<Msg | 'lost' | 'ended' | 'silent'>();
    let over = false;
    let ended = false;
    const subscription: NatsSubscription = connection.subscribe(inbox, {
      callback: (error, message) => {
        if (error) return;
        if (!over) return resolve(message);
        // It crossed with the end of the wait: somebody else may have it at once.
        if (message.reply !== undefined && ACK_SUBJECT.test(message.reply))
          connection.publish(message.reply, nakText(0));
      },
    });
    const end = (how: 'ended' | 'silent') => {
      ended = true;
      resolve(how);
    };
    const abort = () => end('ended');
    // The broker ends the wait; this is for one that does not.
    const timer = setTimeout(end, waitMs + CHECK_MS, 'silent');
    const forget = this.#link.onRefused(api, reject);
    signal?.addEventListener('abort', abort);
    void connection.closed().then(() => resolve('lost'));
    try {
      const request = { batch: 1, expires: nanoseconds(waitMs) };
      connection.publish(api, JSON.stringify(request), { reply: inbox });
      return await promise;
    } catch (error) {
      if (isPynqLlmError(error)) throw error;
      return 'lost';
    } finally {
      over = true;
      clearTimeout(timer);
      forget();
      signal?.removeEventListener('abort', abort);
      // After an answer nothing else can come; else what is on its way is still given back.
      if (ended && !connection.isClosed()) subscription.drain().catch(() => {});
      else subscription.unsubscribe();
    }
  }

  #delivery(lane: string, message: Msg): Delivery {
    const subject = message.reply ?? '';
    const [, stream, consumer, deliveries, sequence] = ACK_SUBJECT.exec(subject) ?? [];
    if (stream !== this.name || consumer !== lane)
      throw new PynqLlmError('BUS_REFUSED', `The broker delivered what is not of the lane ${lane}.`);
    const publish = (text: string) => {
      this.#link.checkOpen();
      this.#link.connection?.publish(subject, text);
    };
    return {
      sequence: Number(sequence),
      lane,
      id: message.headers?.get(ID_HEADER).slice(ID_PREFIX.length) ?? '',
      data: new Uint8Array(message.data),
      deliveries: Number(deliveries),
      token: subject,
      ack: async (options) => {
        await this.#link.call(subject, '+ACK', timeoutOf(options), () => this.#gone(subject));
      },
      nak: (delayMs = 0) => publish(nakText(delayMs)),
      working: () => publish('+WPI'),
    };
  }

  #ackSubject(token: string): string {
    const [, stream] = ACK_SUBJECT.exec(token) ?? [];
    if (stream === this.name) return token;
    throw new PynqLlmError('BUS_SUBJECT_INVALID', `This is no token of a delivery of ${this.name}.`);
  }
  #gone(subject: string): PynqLlmError {
    const what = `The lane whose delivery was to be acknowledged (${subject}) is gone.`;
    return new PynqLlmError('BUS_MISSING', what, { context: { queue: this.name } });
  }
  #noLane(lane: string): PynqLlmError {
    return new PynqLlmError('BUS_MISSING', `The queue "${this.name}" has no open lane "${lane}".`, {
      context: { queue: this.name, lane },
    });
  }
}

function nakText(delayMs: number): string {
  checkRange('delayMs', delayMs, 0, MAX_WAIT_MS);
  return delayMs === 0 ? '-NAK' : `-NAK ${JSON.stringify({ delay: nanoseconds(delayMs) })}`;
}

/** Reads what `declareQueue` wrote. */
function queueLimits(description: string | undefined, what: string) {
  try {
    const { ackWaitMs, maxDeliveries } = JSON.parse(description ?? '') as Record<string, number>;
    return {
      ackWaitMs: checkRange('ackWaitMs', ackWaitMs!, 100, MAX_WAIT_MS),
      maxDeliveries: checkRange('maxDeliveries', maxDeliveries!, 1, 1_000),
    };
  } catch (error) {
    throw new PynqLlmError('BUS_REFUSED', `${what}: the stream of that name is no queue of a fleet.`, {
      cause: error,
    });
  }
}

/** @returns undefined for what is no such advisory: whoever may publish on its subject could write anything */
function readAdvisory(data: Uint8Array, queue: string): ExhaustedMessage | undefined {
  try {
    const { stream, consumer, stream_seq, deliveries } = JSON.parse(Buffer.from(data).toString()) as Record<
      string,
      unknown
    >;
    if (stream !== queue || typeof consumer !== 'string') return undefined;
    if (!Number.isSafeInteger(stream_seq) || !Number.isSafeInteger(deliveries)) return undefined;
    return { lane: consumer, sequence: stream_seq as number, deliveries: deliveries as number };
  } catch {
    return undefined;
  }
}
