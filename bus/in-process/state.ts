import { PynqLlmError } from '../../errors/index.js';
import type { BucketConfig, ExhaustedMessage, LogConfig, QueueConfig } from '../bus.js';
import { checkRange, matches } from '../checks.js';
import { Lane } from './lane.js';
import { Store } from './store.js';

/** A message on its way, and where its answer goes. */
export interface Envelope {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly reply?: ((answer: Uint8Array | PynqLlmError) => void) | undefined;
}
/** Who listens. */
export interface Listener {
  readonly pattern: string;
  readonly group: string | undefined;
  readonly take: (envelope: Envelope) => void;
}
export interface QueueState {
  config: QueueConfig;
  readonly store: Store;
  readonly lanes: Map<string, Lane>;
  readonly exhausted: Set<(message: ExhaustedMessage) => void>;
}

/** What a broker inside this process has: who listens, and what is stored. */
export class BrokerState {
  readonly maxPayload: number;
  readonly #listeners = new Set<Listener>();
  readonly #queues = new Map<string, QueueState>();
  readonly #logs = new Map<string, Store>();
  readonly #buckets = new Map<string, Store>();
  #turn = 0;

  /** @param maxPayload bytes of a message at most */
  constructor(maxPayload: number) {
    this.maxPayload = checkRange('maxPayload', maxPayload, 1, 64 << 20);
  }

  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  /** @returns how many it goes to */
  send(envelope: Envelope): number {
    const to = new Map<string | Listener, Listener[]>();
    for (const listener of this.#listeners) {
      if (!matches(listener.pattern, envelope.subject)) continue;
      const group = listener.group ?? listener;
      to.set(group, [...(to.get(group) ?? []), listener]);
    }
    for (const members of to.values()) members[this.#turn++ % members.length]!.take(envelope);
    return to.size;
  }

  declareQueue(config: QueueConfig): void {
    const queue = this.#queues.get(config.name);
    if (queue) {
      queue.config = config;
      queue.store.limits = config;
      return;
    }
    const store = new Store(config, 'refuse');
    this.#queues.set(config.name, { config, store, lanes: new Map(), exhausted: new Set() });
  }
  declareLog(config: LogConfig): void {
    const log = this.#logs.get(config.name);
    if (log) log.limits = config;
    else this.#logs.set(config.name, new Store(config, 'drop-oldest'));
  }
  declareBucket({ name, maxBytes, maxValueBytes }: BucketConfig): void {
    const limits = { maxBytes, maxValueBytes, maxAgeMs: 0, duplicateWindowMs: 100 };
    const bucket = this.#buckets.get(name);
    if (bucket) bucket.limits = limits;
    else this.#buckets.set(name, new Store(limits, 'refuse'));
  }

  openLane(queue: QueueState, lane: string): void {
    if (queue.lanes.has(lane)) return;
    const exhausted = (sequence: number, deliveries: number) => {
      for (const handler of [...queue.exhausted]) handler({ lane, sequence, deliveries });
    };
    queue.lanes.set(lane, new Lane(queue.store, lane, () => queue.config, exhausted));
  }

  /** @throws BUS_MISSING */
  queue(name: string): QueueState {
    return this.#queues.get(name) ?? missing('queue', name);
  }
  /** @throws BUS_MISSING */
  log(name: string): Store {
    return this.#logs.get(name) ?? missing('log', name);
  }
  /** @throws BUS_MISSING */
  bucket(name: string): Store {
    return this.#buckets.get(name) ?? missing('bucket', name);
  }
}

/** One party's way to it. */
export interface Connection {
  readonly maxPayload: number;
  /** Aborted when it is closed. */
  readonly closed: AbortSignal;
  /** @throws BUS_CLOSED */
  open(): BrokerState;
}

function missing(what: string, name: string): never {
  throw new PynqLlmError('BUS_MISSING', `The broker has no ${what} "${name}".`, { context: { name } });
}
