import { PynqLlmError } from '../../errors/index.js';
import type { BucketConfig, Stored, StoreLimits } from '../bus.js';
import { matches } from '../checks.js';

/** What is stored of a message. */
export interface StoredMessage {
  readonly sequence: number;
  readonly subject: string;
  readonly id: string;
  readonly data: Uint8Array;
  /** Whether it says that its subject, a key, was deleted. */
  readonly deleted: boolean;
  /** Of the process's own clock. */
  readonly atMs: number;
}

/** Messages by sequence, as a broker's stream keeps them. */
export class Store {
  limits: StoreLimits & Pick<BucketConfig, 'maxValueBytes'>;
  readonly #whenFull: 'refuse' | 'drop-oldest';
  readonly #messages: StoredMessage[] = [];
  /** By what duplicates are known by, in the order in which they came. */
  readonly #ids = new Map<string, { sequence: number; atMs: number }>();
  readonly #listeners = new Set<() => void>();
  #bytes = 0;
  #last = 0;

  constructor(limits: Store['limits'], whenFull: 'refuse' | 'drop-oldest') {
    this.limits = limits;
    this.#whenFull = whenFull;
  }

  get last(): number {
    return this.#last;
  }
  get first(): number {
    this.#prune();
    return this.#messages[0]?.sequence ?? this.#last + 1;
  }

  /** @param key what duplicates are known by; '' for none @throws BUS_STORE_FULL */
  append(subject: string, id: string, key: string, data: Uint8Array, deleted = false): Stored {
    this.#prune();
    const known = key === '' ? undefined : this.#ids.get(key);
    if (known) return { sequence: known.sequence, duplicate: true };
    this.#makeRoom(sizeOf(subject, id, data));
    const sequence = ++this.#last;
    const atMs = performance.now();
    this.#messages.push({ sequence, subject, id, data: new Uint8Array(data), deleted, atMs });
    this.#bytes += sizeOf(subject, id, data);
    if (key !== '') this.#ids.set(key, { sequence, atMs });
    for (const listener of [...this.#listeners]) listener();
    return { sequence, duplicate: false };
  }

  /** The first message from `from` on whose subject is of `pattern`. */
  next(pattern: string, from: number): StoredMessage | undefined {
    this.#prune();
    for (let i = this.#indexOf(from); i < this.#messages.length; i++)
      if (matches(pattern, this.#messages[i]!.subject)) return this.#messages[i];
    return undefined;
  }
  get(sequence: number): StoredMessage | undefined {
    this.#prune();
    const message = this.#messages[this.#indexOf(sequence)];
    return message?.sequence === sequence ? message : undefined;
  }
  lastOf(subject: string): StoredMessage | undefined {
    this.#prune();
    return this.#messages.findLast((message) => message.subject === subject);
  }
  all(pattern: string): readonly StoredMessage[] {
    this.#prune();
    return this.#messages.filter(({ subject }) => matches(pattern, subject));
  }
  remove(sequence: number): boolean {
    const i = this.#indexOf(sequence);
    if (this.#messages[i]?.sequence !== sequence) return false;
    const [{ subject, id, data }] = this.#messages.splice(i, 1) as [StoredMessage];
    this.#bytes -= sizeOf(subject, id, data);
    return true;
  }

  /** Calls after each append. @returns a function that ends this */
  onAppend(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #indexOf(sequence: number): number {
    let low = 0;
    let high = this.#messages.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#messages[middle]!.sequence < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #prune(): void {
    const now = performance.now();
    for (const [id, { atMs }] of this.#ids) {
      if (now - atMs < this.limits.duplicateWindowMs) break;
      this.#ids.delete(id);
    }
    if (this.limits.maxAgeMs === 0) return;
    while (this.#messages.length > 0 && now - this.#messages[0]!.atMs >= this.limits.maxAgeMs) this.#shift();
  }

  #makeRoom(bytes: number): void {
    const { maxBytes } = this.limits;
    if (maxBytes === 0 || this.#bytes + bytes <= maxBytes) return;
    if (this.#whenFull === 'refuse' || bytes > maxBytes)
      throw new PynqLlmError(
        'BUS_STORE_FULL',
        `${bytes} bytes do not fit beside ${this.#bytes} that are stored; the limit is ${maxBytes}.`,
        { context: { bytes, stored: this.#bytes, maxBytes } },
      );
    while (this.#bytes + bytes > maxBytes) this.#shift();
  }
  #shift(): void {
    const { subject, id, data } = this.#messages.shift()!;
    this.#bytes -= sizeOf(subject, id, data);
  }
}

/** About what a message takes here beside its data: else many small ones would fit any limit. */
function sizeOf(subject: string, id: string, data: Uint8Array): number {
  return data.byteLength + subject.length + id.length + 256;
}
