import type { MsgHdrs } from '@nats-io/transport-node';
import type { Log, LogEntry, ReadOptions, Stored, WaitOptions } from '../bus.js';
import { checkId, checkPattern, checkPayload, checkRange, checkSubject, timeoutOf } from '../checks.js';
import type { NatsLink } from './link.js';
import { store } from './publish.js';
import { directGet, readStream, type StreamMessage } from './read-stream.js';
import { askApi, streamBounds } from './streams.js';

/** A log on a broker: the stream of its name. */
export class NatsLog implements Log {
  readonly name: string;
  readonly #link: NatsLink;
  readonly #headers: () => MsgHdrs;
  readonly #maxPayload: () => number;
  /** By subject, over all logs of the connection: the last append. */
  readonly #appends: Map<string, Promise<unknown>>;

  constructor(
    link: NatsLink,
    name: string,
    headers: () => MsgHdrs,
    maxPayload: () => number,
    appends: Map<string, Promise<unknown>>,
  ) {
    this.#link = link;
    this.name = name;
    this.#headers = headers;
    this.#maxPayload = maxPayload;
    this.#appends = appends;
  }

  async append(subject: string, id: string, data: Uint8Array, options?: WaitOptions): Promise<Stored> {
    checkSubject(subject);
    checkId(id);
    checkPayload(data, this.#maxPayload());
    const timeoutMs = timeoutOf(options);
    const whole = `${this.name}.${subject}`;
    const storing = { stream: this.name, subject: whole, id: `${subject}/${id}`, data: new Uint8Array(data) };
    const before = this.#appends.get(whole);
    const run = async () => {
      await before?.catch(() => {});
      return (await store(this.#link, this.#headers(), storing, timeoutMs))!;
    };
    const appended = run();
    this.#appends.set(whole, appended);
    try {
      return await appended;
    } finally {
      if (this.#appends.get(whole) === appended) this.#appends.delete(whole);
    }
  }

  async *read({ pattern = '>', from = 1, signal }: ReadOptions = {}): AsyncIterable<LogEntry> {
    checkPattern(pattern);
    checkRange('from', from, 1, Number.MAX_SAFE_INTEGER);
    const whole = `${this.name}.${pattern}`;
    for await (const message of readStream(this.#link, this.name, whole, from, signal)) {
      const entry = message && this.#entry(message);
      if (entry) yield entry;
    }
  }
  async last(subject: string, options?: WaitOptions): Promise<LogEntry | undefined> {
    checkSubject(subject);
    const message = await directGet(this.#link, this.name, `${this.name}.${subject}`, timeoutOf(options));
    return message && this.#entry(message);
  }
  async bounds(options?: WaitOptions): Promise<{ first: number; last: number }> {
    const what = `The log ${this.name} cannot be looked at`;
    return streamBounds(this.#link, this.name, timeoutOf(options), what);
  }
  async purge(pattern: string, options?: WaitOptions): Promise<void> {
    checkPattern(pattern);
    const filter = `${this.name}.${pattern}`;
    const what = `The log ${this.name} cannot be purged`;
    await askApi(this.#link, `STREAM.PURGE.${this.name}`, { filter }, timeoutOf(options), what);
  }

  /** @returns undefined for what did not come through `append`: a broker stores whatever is published */
  #entry({ sequence, subject, id, data }: StreamMessage): LogEntry | undefined {
    const own = subject.slice(this.name.length + 1);
    if (!id.startsWith(`${own}/`)) return undefined;
    return { sequence, subject: own, id: id.slice(own.length + 1), data };
  }
}
