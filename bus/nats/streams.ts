import { PynqLlmError } from '../../errors/index.js';
import type { BucketConfig, LogConfig, QueueConfig, StoreLimits } from '../bus.js';
import { HEADER_ROOM } from '../checks.js';
import { type ApiError, apiError, OTHER_CONFIGURATION } from './errors.js';
import type { NatsLink } from './link.js';

/** Where a bucket's stream is, as other clients of NATS name it too. */
export const bucketStream = (bucket: string) => `KV_${bucket}`;
export const bucketSubject = (bucket: string, key: string) => `$KV.${bucket}.${key}`;

/** Asks JetStream's API for one thing. @throws its error as one of ours, unless `accept` takes it */
export async function askApi<T extends object>(
  link: NatsLink,
  method: string,
  body: unknown,
  timeoutMs: number,
  what: string,
  accept: (error: ApiError) => T | undefined = () => undefined,
): Promise<T> {
  const missing = () => new PynqLlmError('BUS_NO_JETSTREAM', `${what}: nothing answers on ${method}.`);
  const answer = await link.call(`${link.api}.${method}`, JSON.stringify(body), timeoutMs, missing);
  const read = parseAnswer<T>(answer.data, what);
  if (!read.error) return read;
  const accepted = accept(read.error);
  if (accepted) return accepted;
  throw apiError(what, read.error);
}

/** @throws BUS_REFUSED for what is no answer of JetStream */
export function parseAnswer<T extends object>(
  data: Uint8Array,
  what: string,
): T & { readonly error?: ApiError } {
  try {
    const read: unknown = JSON.parse(Buffer.from(data).toString());
    if (typeof read === 'object' && read !== null) return read as T & { readonly error?: ApiError };
  } catch {
    // Told below.
  }
  throw new PynqLlmError('BUS_REFUSED', `${what}: the broker's answer cannot be read.`);
}

export function declareQueue(link: NatsLink, config: QueueConfig, timeoutMs: number): Promise<void> {
  const { name, ackWaitMs, maxDeliveries } = config;
  return declare(link, timeoutMs, {
    ...limits(config),
    name,
    subjects: [`${name}.*`],
    retention: 'workqueue',
    discard: 'new',
    // Servers before 2.10 have no other place in which whoever opens a lane finds them.
    description: JSON.stringify({ ackWaitMs, maxDeliveries }),
  });
}
export function declareLog(link: NatsLink, config: LogConfig, timeoutMs: number): Promise<void> {
  const { name } = config;
  return declare(link, timeoutMs, { ...limits(config), name, subjects: [`${name}.>`], discard: 'old' });
}
export function declareBucket(
  link: NatsLink,
  { name, maxBytes, maxValueBytes }: BucketConfig,
  timeoutMs: number,
): Promise<void> {
  return declare(link, timeoutMs, {
    // Writes are sent again under their ids for as long as a call may take.
    ...limits({ maxAgeMs: 0, maxBytes, duplicateWindowMs: 600_000 }),
    name: bucketStream(name),
    subjects: [bucketSubject(name, '>')],
    max_msgs_per_subject: 1,
    ...(maxValueBytes !== undefined && { max_msg_size: maxValueBytes + HEADER_ROOM }),
    discard: 'new',
    // Who may write one key could delete all others' by a header.
    allow_rollup_hdrs: false,
    deny_delete: true,
  });
}

/** Sequences of the first message of a stream, or of the next where there is none, and of the last that it has had. */
export async function streamBounds(
  link: NatsLink,
  stream: string,
  timeoutMs: number,
  what: string,
): Promise<{ first: number; last: number }> {
  const { state } = await askApi<{ state: { first_seq: number; last_seq: number } }>(
    link,
    `STREAM.INFO.${stream}`,
    {},
    timeoutMs,
    what,
  );
  return { first: Math.max(1, state.first_seq), last: state.last_seq };
}

/** @throws BUS_MISSING where the broker does not have what is asked for by this method of its API */
export function findOnce(link: NatsLink, method: string, timeoutMs: number, what: string): Promise<void> {
  return link.findOnce(method, () => askApi(link, method, {}, timeoutMs, what));
}

export const nanoseconds = (ms: number) => ms * 1_000_000;

function limits({ maxAgeMs, maxBytes, duplicateWindowMs }: StoreLimits) {
  return {
    max_age: nanoseconds(maxAgeMs),
    max_bytes: maxBytes || -1,
    duplicate_window: nanoseconds(duplicateWindowMs),
  };
}

async function declare(
  link: NatsLink,
  timeoutMs: number,
  config: { readonly name: string } & Record<string, unknown>,
): Promise<void> {
  const { name } = config;
  const whole = {
    retention: 'limits',
    storage: 'file',
    num_replicas: 1,
    max_consumers: -1,
    max_msgs: -1,
    max_msg_size: -1,
    max_msgs_per_subject: -1,
    allow_direct: true,
    ...config,
  };
  const what = `The stream ${name} cannot be created`;
  const created = await askApi<{ differs?: true }>(
    link,
    `STREAM.CREATE.${name}`,
    whole,
    timeoutMs,
    what,
    (error) => (error.err_code === OTHER_CONFIGURATION ? { differs: true } : undefined),
  );
  if (created.differs)
    await askApi(link, `STREAM.UPDATE.${name}`, whole, timeoutMs, `The stream ${name} cannot be changed`);
}
