import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node';
import { PynqLlmError } from '../../errors/index.js';
import type { Delivery } from '../bus.js';
import { checkRange, MAX_WAIT_MS, timeoutOf } from '../checks.js';
import { deferred } from '../deferred.js';
import type { NatsLink } from './link.js';
import { ID_HEADER } from './publish.js';
import { nanoseconds } from './streams.js';

/** Before the ids of a queue's messages: no subject begins so, and therefore no id of a log or a bucket. */
export const QUEUE_ID_PREFIX = '//';
/** How long a broker may take to say that a wait is over. */
export const CHECK_MS = 1_000;
/** $JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<consumer's sequence>.<time>.<pending> */
const ACK_SUBJECT = /^\$JS\.ACK\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.(\d+)\.(\d+)\.\d+\.\d+\.\d+$/;

/** Whose message is pulled. */
export interface Source {
  readonly queue: string;
  readonly lane: string;
  /** Where it is sent: a subject of one's own that is used once. */
  readonly inbox: string;
}

/**
 * Asks a broker once for a message.
 * @returns it, or a status; 'lost' with the connection, 'ended' by `signal`, 'silent' where the broker did not even end the wait
 * @throws BUS_NOT_PERMITTED
 */
export async function pullOnce(
  link: NatsLink,
  connection: NatsConnection,
  { queue, lane, inbox }: Source,
  waitMs: number,
  signal: AbortSignal | undefined,
): Promise<Msg | 'lost' | 'ended' | 'silent'> {
  const api = `${link.api}.CONSUMER.MSG.NEXT.${queue}.${lane}`;
  const { promise, resolve, reject } = deferred<Msg | 'lost' | 'ended' | 'silent'>();
  if (connection.isClosed()) return 'lost';
  let over = false;
  const subscription: Subscription = connection.subscribe(inbox, {
    callback: (error, message) => {
      if (error) return;
      if (!over) return resolve(message);
      // It crossed with the end of the wait: somebody else may have it at once.
      const reply = message.reply ?? '';
      if (ACK_SUBJECT.test(reply)) connection.publish(reply, nakText(0));
    },
  });
  let ended = false;
  const end = (how: 'ended' | 'silent') => {
    ended = true;
    resolve(how);
  };
  const abort = () => end('ended');
  // The broker ends the wait; this is for one that does not.
  const timer = setTimeout(end, waitMs + CHECK_MS, 'silent');
  const forget = link.onRefused(api, reject);
  signal?.addEventListener('abort', abort);
  const forgetLoss = link.onConnection((connected) => {
    if (!connected) resolve('lost');
  });
  try {
    if (link.connection !== connection) return 'lost';
    const request = { batch: 1, expires: nanoseconds(waitMs) };
    connection.publish(api, JSON.stringify(request), { reply: inbox });
    return await promise;
  } finally {
    over = true;
    clearTimeout(timer);
    forget();
    forgetLoss();
    signal?.removeEventListener('abort', abort);
    // After an answer nothing else can come; else what is on its way is still given back.
    if (ended && !connection.isClosed()) subscription.drain().catch(() => {});
    else subscription.unsubscribe();
  }
}

/** What a broker delivered. @throws BUS_REFUSED where it is of another lane */
export function deliveryOf(link: NatsLink, { queue, lane }: Source, message: Msg): Delivery {
  const subject = message.reply ?? '';
  const [, stream, consumer, deliveries, sequence] = ACK_SUBJECT.exec(subject) ?? [];
  if (stream !== queue || consumer !== lane)
    throw new PynqLlmError('BUS_REFUSED', `The broker delivered what is not of the lane ${lane}.`);
  const publish = (text: string) => {
    link.checkOpen();
    const { connection } = link;
    if (connection && !connection.isClosed()) connection.publish(subject, text);
  };
  return {
    sequence: Number(sequence),
    lane,
    id: message.headers?.get(ID_HEADER).slice(QUEUE_ID_PREFIX.length) ?? '',
    data: new Uint8Array(message.data),
    deliveries: Number(deliveries),
    token: subject,
    ack: async (options) => {
      await link.call(subject, '+ACK', timeoutOf(options), () => laneGone(queue, lane));
    },
    nak: (delayMs = 0) => publish(nakText(delayMs)),
    working: () => publish('+WPI'),
  };
}

/** @returns the token, whose subject is one of this queue's deliveries: it may come from anybody @throws BUS_SUBJECT_INVALID */
export function checkToken(queue: string, token: string): string {
  const [, stream] = ACK_SUBJECT.exec(token) ?? [];
  if (stream === queue) return token;
  throw new PynqLlmError('BUS_SUBJECT_INVALID', `This is no token of a delivery of ${queue}.`);
}

export function nakText(delayMs: number): string {
  checkRange('delayMs', delayMs, 0, MAX_WAIT_MS);
  return delayMs === 0 ? '-NAK' : `-NAK ${JSON.stringify({ delay: nanoseconds(delayMs) })}`;
}

export function laneGone(queue: string, lane: string): PynqLlmError {
  return new PynqLlmError('BUS_MISSING', `The queue "${queue}" has no open lane "${lane}".`, {
    context: { queue, lane },
  });
}
