import { PynqLlmError } from '../../errors/index.js';
import { checkName, checkPattern, checkSubject } from '../checks.js';
import { JETSTREAM_API } from './link.js';
import { bucketStream, bucketSubject } from './streams.js';

/** What a key may do, in a fleet's words; what is not named, it may not. */
export interface KeyRights {
  /** The `inbox` it connects with: a key alone has it. */
  readonly inbox: string;
  /** What the subjects of JetStream's interface begin with for it: those of its account. */
  readonly api?: string;
  /**
   * Lanes that it pulls from and acknowledges. Of a lane that several keys have, each can acknowledge and give back what another
   * pulled: a board's own lane is its alone.
   */
  readonly pulls?: readonly { readonly queue: string; readonly lane: string }[];
  /** Where it appends: a log, and a pattern of subjects in it. A key that appends may read no log: see `reads`. */
  readonly appends?: readonly { readonly log: string; readonly pattern: string }[];
  /** Keys that it writes without reading them (a lease that is its alone). */
  readonly writes?: readonly { readonly bucket: string; readonly key: string }[];
  /**
   * Buckets that it reads and watches whole. None that it writes to: a broker sends what is read to any subject that is asked for, so that
   * who can write and read one stream can have its words stored in others' names.
   */
  readonly reads?: readonly string[];
  /** Subjects that it asks on, or publishes to. */
  readonly publishes?: readonly string[];
  /** Subjects that it listens to, or answers on. */
  readonly subscribes?: readonly string[];
}
/** As nats-server's configuration has them. */
export interface KeyPermissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** @throws BUS_SUBJECT_INVALID */
export function keyPermissions(rights: KeyRights): KeyPermissions {
  const {
    inbox,
    api = JETSTREAM_API,
    pulls = [],
    appends = [],
    writes = [],
    reads = [],
    publishes = [],
    subscribes = [],
  } = rights;
  checkName(inbox);
  for (const { queue, lane } of pulls) [queue, lane].forEach(checkName);
  for (const { log, pattern } of appends) {
    checkName(log);
    checkPattern(pattern);
  }
  for (const { bucket, key } of writes) {
    checkName(bucket);
    checkSubject(key);
  }
  reads.forEach(checkName);
  [...publishes, ...subscribes].forEach(checkPattern);
  return {
    publish: [
      ...pulls.flatMap(({ queue, lane }) => [
        `${api}.CONSUMER.INFO.${queue}.${lane}`,
        `${api}.CONSUMER.MSG.NEXT.${queue}.${lane}`,
        `$JS.ACK.${queue}.${lane}.>`,
      ]),
      ...appends.map(({ log, pattern }) => `${log}.${pattern}`),
      ...writes.map(({ bucket, key }) => bucketSubject(bucket, key)),
      ...reads.flatMap((bucket) => {
        const get = `${api}.DIRECT.GET.${bucketStream(bucket)}`;
        return [`${api}.STREAM.INFO.${bucketStream(bucket)}`, get, `${get}.>`];
      }),
      ...publishes,
    ],
    subscribe: [`_INBOX_${inbox}.>`, ...reads.map((bucket) => bucketSubject(bucket, '>')), ...subscribes],
  };
}

/**
 * The entry of a key in the list `authorization { users: [ … ] }` of nats-server's configuration.
 * @param publicKey U… @throws BUS_SUBJECT_INVALID
 */
export function userEntry(publicKey: string, permissions: KeyPermissions): string {
  if (!/^U[A-Z2-7]{55}$/.test(publicKey))
    throw new PynqLlmError(
      'BUS_SUBJECT_INVALID',
      `"${publicKey.slice(0, 80)}" is no public key of a user (U…).`,
    );
  const list = (subjects: readonly string[]) => subjects.map((subject) => JSON.stringify(subject)).join(', ');
  // Answers go where the question said, once each. No question waits longer than MAX_WAIT_MS, ten minutes.
  return `{
  nkey: ${publicKey}
  permissions: {
    publish: { allow: [${list(permissions.publish)}] }
    subscribe: { allow: [${list(permissions.subscribe)}] }
    allow_responses: { max: 1, expires: "11m" }
  }
}`;
}
