import type { KeyEntry, KeyEvent, KeyValue, WatchOptions } from '../bus.js';
import { checkPattern, checkPayload, checkSubject } from '../checks.js';
import { readStore } from './read-store.js';
import type { Connection } from './state.js';
import type { StoredMessage } from './store.js';

/** A bucket of this process. */
export class InProcessKeyValue implements KeyValue {
  readonly name: string;
  readonly #bus: Connection;

  constructor(bus: Connection, name: string) {
    this.#bus = bus;
    this.name = name;
  }

  async get(key: string): Promise<KeyEntry | undefined> {
    return this.#current(key);
  }
  async create(key: string, value: Uint8Array): Promise<number | undefined> {
    return this.#current(key) ? undefined : this.#write(key, value);
  }
  async update(key: string, value: Uint8Array, revision: number): Promise<number | undefined> {
    return this.#current(key)?.revision === revision ? this.#write(key, value) : undefined;
  }
  async put(key: string, value: Uint8Array): Promise<number> {
    checkSubject(key);
    return this.#write(key, value);
  }
  async delete(key: string, revision?: number): Promise<boolean> {
    const entry = this.#current(key);
    if (entry === undefined || (revision !== undefined && entry.revision !== revision)) return false;
    this.#write(key, new Uint8Array(), true);
    return true;
  }
  async *watch({ pattern = '>', signal }: WatchOptions = {}): AsyncIterable<KeyEvent> {
    checkPattern(pattern);
    for await (const message of readStore(this.#store(), pattern, 1, this.#bus.closed, signal))
      if (message === undefined) yield { kind: 'ready' };
      else if (message.deleted) yield { kind: 'deleted', key: message.subject };
      else yield { kind: 'value', ...entryOf(message) };
  }

  #store() {
    return this.#bus.open().bucket(this.name);
  }
  #current(key: string): KeyEntry | undefined {
    checkSubject(key);
    const last = this.#store().lastOf(key);
    return last && !last.deleted ? entryOf(last) : undefined;
  }
  #write(key: string, value: Uint8Array, deleted = false): number {
    const store = this.#store();
    checkPayload(value, store.limits.maxValueBytes ?? this.#bus.maxPayload);
    const before = store.lastOf(key);
    const { sequence } = store.append(key, '', '', value, deleted);
    if (before) store.remove(before.sequence);
    return sequence;
  }
}

function entryOf({ subject, data, sequence }: StoredMessage): KeyEntry {
  return { key: subject, value: data, revision: sequence };
}
