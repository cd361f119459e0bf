import { randomBytes } from 'node:crypto';
import type { MsgHdrs } from '@nats-io/transport-node';
import type { KeyEntry, KeyEvent, KeyValue, Stored, WaitOptions, WatchOptions } from '../bus.js';
import { checkPattern, checkPayload, checkRange, checkSubject, timeoutOf } from '../checks.js';
import type { NatsLink } from './link.js';
import { store } from './publish.js';
import { directGet, readStream, type StreamMessage } from './read-stream.js';
import { bucketStream, bucketSubject } from './streams.js';

/** A bucket on a broker: laid out as other clients of NATS lay theirs out. */
export class NatsKeyValue implements KeyValue {
  readonly name: string;
  readonly #link: NatsLink;
  readonly #headers: () => MsgHdrs;
  readonly #maxPayload: () => number;

  constructor(link: NatsLink, name: string, headers: () => MsgHdrs, maxPayload: () => number) {
    this.#link = link;
    this.name = name;
    this.#headers = headers;
    this.#maxPayload = maxPayload;
  }

  async get(key: string, options?: WaitOptions): Promise<KeyEntry | undefined> {
    const last = await this.#last(key, options);
    return last && this.#isValue(last) ? entryOf(key, last) : undefined;
  }
  async create(key: string, value: Uint8Array, options?: WaitOptions): Promise<number | undefined> {
    const stored = await this.#write(key, value, options, 0);
    if (stored) return stored.sequence;
    // Something is there: perhaps that the key was deleted, or what counts as nothing.
    const last = await this.#last(key, options);
    if (last && this.#isValue(last)) return undefined;
    return (await this.#write(key, value, options, last?.sequence ?? 0))?.sequence;
  }
  async update(
    key: string,
    value: Uint8Array,
    revision: number,
    options?: WaitOptions,
  ): Promise<number | undefined> {
    checkRange('revision', revision, 1, Number.MAX_SAFE_INTEGER);
    return (await this.#write(key, value, options, revision))?.sequence;
  }
  async put(key: string, value: Uint8Array, options?: WaitOptions): Promise<number> {
    return (await this.#write(key, value, options))!.sequence;
  }
  async delete(key: string, revision?: number, options?: WaitOptions): Promise<boolean> {
    for (;;) {
      const expect = revision ?? (await this.get(key, options))?.revision;
      if (expect === undefined) return false;
      if (await this.#write(key, new Uint8Array(), options, expect, true)) return true;
      if (revision !== undefined) return false;
    }
  }
  async *watch({ pattern = '>', signal }: WatchOptions = {}): AsyncIterable<KeyEvent> {
    checkPattern(pattern);
    const stream = bucketStream(this.name);
    const whole = bucketSubject(this.name, pattern);
    for await (const message of readStream(this.#link, stream, whole, 1, signal)) {
      if (message === undefined) {
        yield { kind: 'ready' };
        continue;
      }
      const key = this.#keyOf(message);
      if (!isOurs(key, message)) continue;
      yield message.deleted ? { kind: 'deleted', key } : { kind: 'value', ...entryOf(key, message) };
    }
  }

  #last(key: string, options: WaitOptions | undefined): Promise<StreamMessage | undefined> {
    checkSubject(key);
    const subject = bucketSubject(this.name, key);
    return directGet(this.#link, bucketStream(this.name), subject, timeoutOf(options));
  }
  #write(
    key: string,
    value: Uint8Array,
    options: WaitOptions | undefined,
    expect?: number,
    deleted = false,
  ): Promise<Stored | undefined> {
    checkSubject(key);
    checkPayload(value, this.#maxPayload());
    const storing = {
      stream: bucketStream(this.name),
      subject: bucketSubject(this.name, key),
      // So that a write that is sent again is not its own rival.
      id: `${key}/${randomBytes(9).toString('base64url')}`,
      data: new Uint8Array(value),
      ...(expect !== undefined && { expect }),
      deleted,
    };
    return store(this.#link, this.#headers(), storing, timeoutOf(options));
  }
  #keyOf({ subject }: StreamMessage): string {
    return subject.slice(bucketSubject(this.name, '').length);
  }
  #isValue(message: StreamMessage): boolean {
    return !message.deleted && isOurs(this.#keyOf(message), message);
  }
}

/** Whether it was written through a Bus: a broker stores whatever is published. */
function isOurs(key: string, { id }: StreamMessage): boolean {
  return id.startsWith(`${key}/`);
}
function entryOf(key: string, { data, sequence }: StreamMessage): KeyEntry {
  return { key, value: data, revision: sequence };
}
