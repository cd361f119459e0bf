import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { GRACE_MS } from '../../agent/index.js';
import type { Bus, Log as BusLog, LogEntry } from '../../bus/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import type { Clock, GenerateEvent } from '../../protocol/index.js';
import { pack, term, unpack } from '../messages.js';
import { GATEWAY, LOG, MARK, OVER, REQUESTS, TERMS } from '../subjects.js';
import { type LeftRequest, LeftRequests, type Requested, readRequest } from './left-requests.js';

const STORE_MS = 5_000;
/** So often it is written from where on the log is needed: what ended before is not read again. */
const MARK_MS = 5_000;

const mark = z.object({ term, from: z.int().min(1) });

export interface JournalOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Log;
  /** Of the lease under which this gateway leads. */
  readonly term: number;
  /** Whether it leads now. */
  readonly leads: () => boolean;
}

/** Hears the log. */
export interface JournalReader {
  /** Told of each request that the gateways before have left, then of those that one of them still wrote without knowing of this one. */
  onLeft(request: LeftRequest): void;
  /** Told of each entry behind the beginning of this term, while this gateway leads. */
  onEntry(entry: LogEntry): void;
}

/**
 * What a gateway writes to the fleet's log, so that another one can go on with it: each request before anything is done with it, and
 * what it ended with. Boards write their tokens there.
 */
export class Journal {
  readonly #options: JournalOptions;
  readonly #log: BusLog;
  /** The entry with which this term begins, and from where on what was before it is read. */
  readonly #begins: number;
  readonly #from: number;
  /** The sequences of requests that another gateway would need. */
  readonly #needed = new Map<string, number>();
  /** What is being written has a place behind these. */
  readonly #writing = new Set<{ readonly behind: number }>();
  readonly #ended = new Set<() => void>();
  readonly #closing = new AbortController();
  #seen = 0;
  #marked: number;
  #number = 0;
  /** In ids, which boards are not to know before: a broker refuses one that it had, whoever used it. */
  readonly #secret = randomBytes(16).toString('hex');
  #stopMark: () => void;

  private constructor(options: JournalOptions, begins: number, from: number) {
    this.#options = options;
    this.#log = options.bus.log(LOG);
    this.#begins = begins;
    this.#from = from;
    this.#marked = from;
    this.#stopMark = this.#nextMark();
  }

  /** Begins the term in the log: what stands before is the gateways' before. @throws PynqLlmError BUS_..., FLEET_OLD_TERM */
  static async open(options: JournalOptions): Promise<Journal> {
    const { bus, term } = options;
    const from = await writeMark(options, undefined);
    const id = `${term}.${randomBytes(8).toString('hex')}`;
    const { sequence } = await bus.log(LOG).append(TERMS, id, pack({ term }), { timeoutMs: STORE_MS });
    // A log that begins anew has no place behind its end.
    return new Journal(options, sequence, from > sequence ? 1 : from);
  }

  /** Writes a request down; from then on it is promised. @throws PynqLlmError BUS_... */
  async begin(request: Omit<Requested, 'term' | 'at'>): Promise<void> {
    const { term } = this.#options;
    const { generation } = request.params;
    const data = pack({ ...request, term, at: Date.now() });
    const id = this.#nextId();
    const subject = `${REQUESTS}.${generation}`;
    // It may be read before it is known where it stands.
    const writing = { behind: this.#seen };
    this.#writing.add(writing);
    try {
      const { sequence } = await this.#log.append(subject, id, data, { timeoutMs: STORE_MS });
      this.#needed.set(generation, sequence);
    } finally {
      this.#writing.delete(writing);
    }
  }

  /** Writes down what a request ended with. Where that fails, another gateway computes the end once more. */
  end(generation: string, event: GenerateEvent): void {
    const { term, log, leads } = this.#options;
    if (this.#closing.signal.aborted || !leads()) return;
    const data = pack({ term, event });
    this.#log
      .append(`${OVER}.${generation}`, this.#nextId(), data, {
        timeoutMs: STORE_MS,
      })
      .catch((err: unknown) =>
        log.warn({ err, generation }, 'the end of a request could not be written down'),
      );
    this.#forget(generation);
  }

  /**
   * Reads the log until this is closed; resolves once all that was left is told.
   * @param signal gives up waiting for that
   * @throws PynqLlmError BUS_MISSING, BUS_NOT_PERMITTED, BUS_CLOSED; the signal's reason
   */
  read(signal: AbortSignal, reader: JournalReader): Promise<void> {
    const { log } = this.#options;
    return new Promise((resolve, reject) => {
      const giveUp = () => reject(signal.reason);
      signal.addEventListener('abort', giveUp, { once: true });
      const onPast = () => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      this.#read(reader, onPast).catch((err: unknown) => {
        if (!this.#closing.signal.aborted) log.error({ err }, 'the log of the fleet cannot be read any more');
        reject(err);
      });
      if (signal.aborted) giveUp();
    });
  }

  #nextId(): string {
    return `${this.#secret}.${this.#number++}`;
  }

  async #read(reader: JournalReader, onPast: () => void): Promise<void> {
    const { log } = this.#options;
    const { signal } = this.#closing;
    const left = new LeftRequests((generation, difference) =>
      log.error({ generation, ...difference }, 'boards did not agree'),
    );
    let isPast = true;
    for await (const entry of this.#log.read({ from: this.#from, signal })) {
      await this.#leading(signal);
      if (signal.aborted) return;
      this.#try(entry, () => {
        if (isPast) left.take(entry);
        else if (entry.subject.startsWith(`${REQUESTS}.`)) this.#late(entry, reader);
        else reader.onEntry(entry);
      });
      this.#seen = entry.sequence;
      if (!isPast || entry.sequence < this.#begins) continue;
      isPast = false;
      for (const request of left.all) this.#try(entry, () => this.#tellLeft(request, reader));
      onPast();
    }
  }

  /** What is wrong with one entry is not to keep others from being heard. */
  #try({ subject }: LogEntry, take: () => void): void {
    try {
      take();
    } catch (err) {
      this.#options.log.error({ err, subject }, 'an entry of the log cannot be taken');
    }
  }

  #tellLeft(request: LeftRequest, reader: JournalReader): void {
    const { generation } = request.requested.params;
    this.#needed.set(generation, request.sequence);
    if (request.over !== undefined) this.#forget(generation);
    reader.onLeft(request);
  }

  /** Nothing is written any more: what goes on after this is not for clients to hear. */
  close(): void {
    this.#closing.abort();
    this.#stopMark();
    for (const stop of this.#ended) stop();
  }

  /** What a gateway wrote that had lost the lead and did not know it yet. */
  #late(entry: LogEntry, reader: JournalReader): void {
    const { term, params } = readRequest(entry.data);
    // Its client may have asked this one for it meanwhile.
    if (term >= this.#options.term || this.#needed.has(params.generation)) return;
    const left = new LeftRequests();
    left.take(entry);
    for (const request of left.all) this.#tellLeft(request, reader);
  }

  /** It has ended; its client may have been cut off before it knew. */
  #forget(generation: string): void {
    const sequence = this.#needed.get(generation);
    const stop = this.#options.clock.after(GRACE_MS, () => {
      this.#ended.delete(stop);
      // The id of one that was refused may be another one's since.
      if (this.#needed.get(generation) === sequence) this.#needed.delete(generation);
    });
    this.#ended.add(stop);
  }

  /**
   * Waits while it is not known whether this gateway leads: what its clients were told has to be in the log before another one
   * begins its term there.
   */
  async #leading(signal: AbortSignal): Promise<void> {
    while (!this.#options.leads() && !signal.aborted) await pause(20);
  }

  #nextMark(): () => void {
    return this.#options.clock.after(MARK_MS, () => {
      void this.#mark().finally(() => {
        if (!this.#closing.signal.aborted) this.#stopMark = this.#nextMark();
      });
    });
  }

  async #mark(): Promise<void> {
    const written = [...this.#writing].map(({ behind }) => behind + 1);
    const from = Math.min(this.#seen + 1, ...written, ...this.#needed.values());
    if (from <= this.#marked || !this.#options.leads()) return;
    try {
      this.#marked = await writeMark(this.#options, from);
    } catch (err) {
      this.#options.log.warn({ err }, 'it could not be written down from where on the log is needed');
    }
  }
}

/**
 * Writes from where on the log is needed; in the name of a gateway, so that none that comes after it is overwritten.
 * @param from what is there unless given
 * @returns from where on
 */
async function writeMark({ bus, term }: JournalOptions, from: number | undefined): Promise<number> {
  const bucket = bus.bucket(GATEWAY);
  for (;;) {
    const entry = await bucket.get(MARK, { timeoutMs: STORE_MS });
    const before = entry && unpack(mark, entry.value, 'The mark in the log');
    if (before !== undefined && before.term > term)
      throw new PynqLlmError('FLEET_OLD_TERM', `Gateway ${before.term} leads; this was ${term}.`);
    const next = from ?? before?.from ?? 1;
    const data = pack({ term, from: next });
    const written = entry
      ? await bucket.update(MARK, data, entry.revision, { timeoutMs: STORE_MS })
      : await bucket.create(MARK, data, { timeoutMs: STORE_MS });
    if (written !== undefined) return next;
  }
}
