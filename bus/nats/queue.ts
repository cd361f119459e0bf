import type { Msg, MsgHdrs, NatsConnection } from '@nats-io/transport-node';
import { PynqLlmError } from '../../errors/index.js';
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
import { NO_CONSUMER, NO_MESSAGE } from './errors.js';
import type { LaneCounts } from './lane-counts.js';
import type { NatsLink } from './link.js';
import { store } from './publish.js';
import { CHECK_MS, checkToken, deliveryOf, laneGone, nakText, pullOnce, QUEUE_ID_PREFIX } from './pull.js';
import { directGet } from './read-stream.js';
import { askApi, findOnce, nanoseconds } from './streams.js';
import { subscribed } from './subscribed.js';

const MAX_PENDING = 10_000;
const MAX_WAITING = 1_024;

/** A work queue on a broker: a stream, and a consumer for each lane. */
export class NatsQueue implements WorkQueue {
  readonly name: string;
  readonly #link: NatsLink;
  readonly #inbox: () => string;
  readonly #headers: () => MsgHdrs;
  readonly #maxPayload: () => number;
  /** Of all queues of the connection. */
  readonly #counts: LaneCounts;

  constructor(
    link: NatsLink,
    name: string,
    inbox: () => string,
    headers: () => MsgHdrs,
    maxPayload: () => number,
    counts: LaneCounts,
  ) {
    this.#link = link;
    this.name = name;
    this.#inbox = inbox;
    this.#headers = headers;
    this.#maxPayload = maxPayload;
    this.#counts = counts;
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
    await this.#deleteConsumer(lane, timeoutMs);
    const what = `The lane ${lane} of ${this.name} cannot be emptied`;
    const filter = `${this.name}.${lane}`;
    await askApi(this.#link, `STREAM.PURGE.${this.name}`, { filter }, timeoutMs, what);
  }
  async put(lane: string, id: string, data: Uint8Array, options?: WaitOptions): Promise<Stored> {
    checkName(lane);
    checkId(id);
    checkPayload(data, this.#maxPayload());
    const subject = `${this.name}.${lane}`;
    const storing = { stream: this.name, subject, id: QUEUE_ID_PREFIX + id, data: new Uint8Array(data) };
    const untilMs = performance.now() + timeoutOf(options);
    const leftMs = () => Math.max(1, Math.ceil(untilMs - performance.now()));
    return this.#counts.put({
      subject,
      store: async () => (await store(this.#link, this.#headers(), storing, leftMs()))!,
      delivered: () => this.#delivered(lane, leftMs()),
      deleteConsumer: () => this.#deleteConsumer(lane, leftMs()),
      createConsumer: () => this.openLane(lane, { timeoutMs: leftMs() }),
    });
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
      if (signal?.aborted) return undefined;
      const source = { queue: this.name, lane, inbox: this.#inbox() };
      const message = await pullOnce(this.#link, connection, source, leftMs, signal);
      if (message === 'ended') return undefined;
      if (message === 'lost') continue;
      if (message === 'silent') {
        this.#link.forget(this.#info(lane));
        await this.#findLane(lane, CHECK_MS);
        return undefined;
      }
      const code = message.headers?.code ?? 0;
      if (code === 0) return deliveryOf(this.#link, source, message);
      if (code === 408 || code === 404) return undefined;
      const said = message.headers?.description ?? '';
      // Its lane is gone, or made anew: it is looked for again.
      if (code === 409 && /deleted/i.test(said)) this.#link.forget(this.#info(lane));
      // As while a broker ends.
      if (++refused === 10)
        throw new PynqLlmError('BUS_REFUSED', `No work can be had: the broker says "${said}" (${code}).`);
      await new Promise((resolve) => setTimeout(resolve, Math.min(leftMs, 100)));
    }
  }

  async giveBack(token: string, delayMs = 0, options?: WaitOptions): Promise<void> {
    const subject = checkToken(this.name, token);
    const gone = () => laneGone(this.name, subject.split('.')[3]!);
    await this.#link.call(subject, nakText(delayMs), timeoutOf(options), gone);
  }
  async list(lane: string, options?: WaitOptions): Promise<readonly QueuedMessage[]> {
    checkName(lane);
    const pattern = `${this.name}.${lane}`;
    const found: QueuedMessage[] = [];
    for (let from = 1; ; ) {
      const message = await directGet(this.#link, this.name, { from, pattern }, timeoutOf(options));
      if (!message) return found;
      const { sequence, id, data } = message;
      found.push({ sequence, lane, id: id.slice(QUEUE_ID_PREFIX.length), data });
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

  async #deleteConsumer(lane: string, timeoutMs: number): Promise<void> {
    const what = `The lane ${lane} of ${this.name} cannot be deleted`;
    await askApi(this.#link, `CONSUMER.DELETE.${this.name}.${lane}`, {}, timeoutMs, what, ({ err_code }) =>
      err_code === NO_CONSUMER ? {} : undefined,
    );
  }
  async #delivered(lane: string, timeoutMs: number): Promise<number> {
    const { delivered } = await askApi<{ delivered?: { stream_seq?: number } }>(
      this.#link,
      this.#info(lane),
      {},
      timeoutMs,
      `The lane ${lane} of ${this.name} cannot be looked at`,
      // Of a queue that is missing, too, storing tells.
      ({ code }) => (code === 404 ? {} : undefined),
    );
    return delivered?.stream_seq ?? 0;
  }
  #info(lane: string): string {
    return `CONSUMER.INFO.${this.name}.${lane}`;
  }
  #findLane(lane: string, timeoutMs: number): Promise<void> {
    const what = `The lane ${lane} of ${this.name} cannot be pulled from`;
    return findOnce(this.#link, this.#info(lane), timeoutMs, what);
  }
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
