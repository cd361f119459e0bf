import { performance } from 'node:perf_hooks';
import { isPynqLlmError, PynqLlmError } from '../errors/index.js';
import type { Bus, KeyValue } from './bus.js';
import { checkName, checkRange, MAX_WAIT_MS } from './checks.js';
import { decodeLease, encodeLease, type LeaseRecord } from './lease-record.js';

/** What a lease is taken with. */
export interface LeaseOptions {
  /** Who takes it: 1 to 64 letters, digits, "-" and "_", of this process alone (a random part). */
  readonly owner: string;
  /** Others take it for ended where they have not seen it renewed for so long: 100 to 600,000 ms. Renewed every third of it. */
  readonly ttlMs: number;
  /** What others see of the owner; at most 64 KiB. */
  readonly value?: string;
  /** How long to wait where another has it: 0 if not given. */
  readonly waitMs?: number;
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
  /**
   * Nobody else may write this key: it is taken and renewed without looking at what is there. For boards, whose keys on the broker may write
   * their own entry and read none; two processes with one board's key are then told apart by their owners alone.
   */
  readonly sole?: boolean;
}

/**
 * Takes a lease: at any time at most one owner has it, as far as processes that sleep notice. Clocks of other machines do not count: whoever
 * wants it after another waits `ttlMs` of that one without seeing a renewal, with a connection, by its own monotonic clock; a compare-and-set
 * then decides, which a renewal in between wins.
 * @returns undefined where another has it and did not lose it within `waitMs`
 * @throws BUS_OPTION_INVALID, BUS_SUBJECT_INVALID, BUS_MISSING, BUS_NOT_PERMITTED; BUS_UNAVAILABLE where the broker was away to the end
 */
export async function takeLease(
  bus: Bus,
  bucket: KeyValue,
  key: string,
  { owner, ttlMs, value = '', waitMs = 0, signal, sole = false }: LeaseOptions,
): Promise<Lease | undefined> {
  checkName(owner);
  checkRange('ttlMs', ttlMs, 100, MAX_WAIT_MS);
  checkRange('waitMs', waitMs, 0, MAX_WAIT_MS);
  const record = { owner, ttlMs, value };
  if (sole) {
    const beganMs = performance.now();
    return new Lease(bucket, key, record, await bucket.put(key, encodeLease(record)), beganMs, true);
  }
  const until = performance.now() + waitMs;
  let seen: { readonly revision: number; sinceMs: number } | undefined;
  const forget = bus.onConnection(() => {
    // What was not seen without a connection says nothing.
    seen = undefined;
  });
  try {
    for (;;) {
      const beganMs = performance.now();
      const entry = await bucket.get(key);
      const held = entry && decodeLease(entry.value);
      if (entry?.revision !== seen?.revision)
        seen = entry && { revision: entry.revision, sinceMs: performance.now() };
      // What is no lease may have been written over one, whose holder then writes again.
      const endsMs = seen && held?.owner !== owner ? seen.sinceMs + (held?.ttlMs ?? ttlMs) : 0;
      if (performance.now() >= endsMs) {
        const bytes = encodeLease(record);
        const revision = entry
          ? await bucket.update(key, bytes, entry.revision)
          : await bucket.create(key, bytes);
        if (revision !== undefined) return new Lease(bucket, key, record, revision, beganMs, false);
      }
      const leftMs = until - performance.now();
      if (leftMs <= 0 || signal?.aborted) return undefined;
      await pause(Math.min(leftMs, (held?.ttlMs ?? ttlMs) / 8), signal);
    }
  } finally {
    forget();
  }
}

/** A lease that is held, and renewed until it is released or lost. */
export class Lease {
  readonly key: string;
  /** The number of this holding: higher than that of every holder before. */
  readonly term: number;
  readonly #bucket: KeyValue;
  readonly #lost = new AbortController();
  readonly #sole: boolean;
  #record: LeaseRecord;
  #revision: number;
  /** When the last renewal that succeeded began. */
  #renewedMs: number;
  #timer: NodeJS.Timeout | undefined;
  #end: NodeJS.Timeout | undefined;
  #renewing: Promise<void> = Promise.resolve();

  constructor(
    bucket: KeyValue,
    key: string,
    record: LeaseRecord,
    revision: number,
    beganMs: number,
    sole: boolean,
    term = revision,
  ) {
    this.#sole = sole;
    this.#bucket = bucket;
    this.key = key;
    this.term = term;
    this.#record = record;
    this.#revision = revision;
    this.#renewedMs = beganMs;
    this.#schedule();
  }

  /** Aborted once it is no longer held: not renewed in time, taken by another, or released. The reason is a PynqLlmError, or 'released'. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }
  /** Whether it is held now, by the clock, also where no timer could run. */
  get held(): boolean {
    return !this.#lost.signal.aborted && performance.now() - this.#renewedMs < this.#record.ttlMs;
  }
  /** Changes what others see, and renews. What cannot be written now is with the next renewal. */
  async set(value: string): Promise<void> {
    this.#record = { ...this.#record, value };
    await this.#renew();
  }
  /**
   * Has a lease again that was lost because it could not be renewed, where nobody had it meanwhile: the same holding, of the same term.
   * @returns undefined where another took it, or it was released or deleted
   * @throws BUS_UNAVAILABLE, BUS_CLOSED
   */
  async regain(): Promise<Lease | undefined> {
    if (this.#lost.signal.reason === 'released') return undefined;
    await this.#renewing;
    for (;;) {
      const beganMs = performance.now();
      const entry = await this.#bucket.get(this.key);
      if (entry === undefined || decodeLease(entry.value)?.owner !== this.#record.owner) return undefined;
      const revision = await this.#bucket.update(this.key, encodeLease(this.#record), entry.revision);
      if (revision !== undefined)
        return new Lease(this.#bucket, this.key, this.#record, revision, beganMs, this.#sole, this.term);
    }
  }
  /** Gives it up, so that others need not wait for its end. */
  async release(): Promise<void> {
    if (this.#lost.signal.aborted) return;
    this.#stop('released');
    await this.#renewing;
    try {
      await this.#bucket.delete(this.key, this.#revision, { timeoutMs: this.#record.ttlMs });
    } catch (error) {
      // It ends by itself.
      if (!isPynqLlmError(error)) throw error;
    }
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#end);
    const { ttlMs } = this.#record;
    this.#timer = setTimeout(() => void this.#renew(), ttlMs / 3);
    const leftMs = this.#renewedMs + ttlMs - performance.now();
    this.#end = setTimeout(() => this.#stop(notRenewed(this.key, ttlMs)), Math.max(0, leftMs));
  }
  /** One renewal after the other. */
  #renew(): Promise<void> {
    this.#renewing = this.#renewing.then(() => this.#renewOnce());
    return this.#renewing;
  }
  async #renewOnce(): Promise<void> {
    if (this.#lost.signal.aborted) return;
    const beganMs = performance.now();
    const { ttlMs } = this.#record;
    const timeoutMs = Math.max(50, Math.floor(ttlMs / 3));
    try {
      const bytes = encodeLease(this.#record);
      const revision = this.#sole
        ? await this.#bucket.put(this.key, bytes, { timeoutMs })
        : await this.#bucket.update(this.key, bytes, this.#revision, { timeoutMs });
      if (revision === undefined) {
        // Perhaps one of our own, whose answer was lost.
        const entry = await this.#bucket.get(this.key, { timeoutMs });
        const there = entry && decodeLease(entry.value);
        if (!entry || (there && there.owner !== this.#record.owner))
          return this.#stop(takenByAnother(this.key));
        this.#revision = entry.revision;
        return this.#retry();
      }
      this.#revision = revision;
      this.#renewedMs = beganMs;
      this.#schedule();
    } catch (error) {
      if (!isPynqLlmError(error)) throw error;
      if (!isPynqLlmError(error, 'BUS_UNAVAILABLE')) return this.#stop(error);
      this.#retry();
    }
  }
  /** Soon, but not at once; the end stays where it was. */
  #retry(): void {
    if (this.#lost.signal.aborted) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#renew(), Math.min(50, this.#record.ttlMs / 10));
  }
  #stop(reason: PynqLlmError | 'released'): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#end);
    this.#lost.abort(reason);
  }
}

function notRenewed(key: string, ttlMs: number): PynqLlmError {
  return new PynqLlmError('BUS_LEASE_LOST', `The lease ${key} was not renewed within ${ttlMs} ms.`);
}
function takenByAnother(key: string): PynqLlmError {
  return new PynqLlmError('BUS_LEASE_LOST', `The lease ${key} was taken by another, or deleted.`);
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
  });
}
