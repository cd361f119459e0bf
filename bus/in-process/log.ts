import type { Log, LogEntry, ReadOptions, Stored } from '../bus.js';
import { checkId, checkPattern, checkPayload, checkRange, checkSubject } from '../checks.js';
import { readStore } from './read-store.js';
import type { Connection } from './state.js';

/** A log of this process. */
export class InProcessLog implements Log {
  readonly name: string;
  readonly #bus: Connection;

  constructor(bus: Connection, name: string) {
    this.#bus = bus;
    this.name = name;
  }

  async append(subject: string, id: string, data: Uint8Array): Promise<Stored> {
    checkSubject(subject);
    checkId(id);
    checkPayload(data, this.#bus.maxPayload);
    return this.#store().append(subject, id, `${subject}/${id}`, data);
  }
  async *read({ pattern = '>', from = 1, signal }: ReadOptions = {}): AsyncIterable<LogEntry> {
    checkPattern(pattern);
    checkRange('from', from, 1, Number.MAX_SAFE_INTEGER);
    for await (const message of readStore(this.#store(), pattern, from, this.#bus.closed, signal))
      if (message) yield message;
  }
  async last(subject: string): Promise<LogEntry | undefined> {
    checkSubject(subject);
    return this.#store().lastOf(subject);
  }
  async bounds(): Promise<{ first: number; last: number }> {
    const { first, last } = this.#store();
    return { first, last };
  }
  async purge(pattern: string): Promise<void> {
    checkPattern(pattern);
    const store = this.#store();
    for (const { sequence } of store.all(pattern)) store.remove(sequence);
  }

  #store() {
    return this.#bus.open().log(this.name);
  }
}
