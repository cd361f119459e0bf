import { PynqLlmError } from '../../errors/index.js';
import type {
  Delivery,
  ExhaustedMessage,
  PullOptions,
  QueuedMessage,
  Stored,
  Subscription,
  WorkQueue,
} from '../bus.js';
import { checkId, checkName, checkPayload, checkRange, MAX_WAIT_MS } from '../checks.js';
import { deferred } from '../deferred.js';
import type { Lane, LaneDelivery } from './lane.js';
import type { Connection } from './state.js';

/** A queue of this process. */
export class InProcessQueue implements WorkQueue {
  readonly name: string;
  readonly #bus: Connection;

  constructor(bus: Connection, name: string) {
    this.#bus = bus;
    this.name = name;
  }

  async openLane(lane: string): Promise<void> {
    checkName(lane);
    const broker = this.#bus.open();
    broker.openLane(broker.queue(this.name), lane);
  }
  async deleteLane(lane: string): Promise<void> {
    checkName(lane);
    const { lanes, store } = this.#queue();
    lanes.get(lane)?.close();
    lanes.delete(lane);
    for (const { sequence } of store.all(lane)) store.remove(sequence);
  }
  async put(lane: string, id: string, data: Uint8Array): Promise<Stored> {
    checkName(lane);
    checkId(id);
    checkPayload(data, this.#bus.maxPayload);
    return this.#queue().store.append(lane, id, id, data);
  }

  async pull(lane: string, { waitMs, signal }: PullOptions): Promise<Delivery | undefined> {
    checkRange('waitMs', waitMs, 1, MAX_WAIT_MS);
    const from = this.#lane(lane);
    if (signal?.aborted) return undefined;
    const { promise, resolve, reject } = deferred<LaneDelivery | undefined>();
    const end = () => resolve(undefined);
    const close = () =>
      reject(new PynqLlmError('BUS_CLOSED', 'The bus was closed while work was waited for.'));
    const timer = setTimeout(end, waitMs);
    signal?.addEventListener('abort', end);
    this.#bus.closed.addEventListener('abort', close);
    const takeBack = from.wait(resolve);
    try {
      const delivery = await promise;
      return delivery && this.#delivery(lane, from, delivery);
    } finally {
      takeBack();
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      this.#bus.closed.removeEventListener('abort', close);
    }
  }

  async giveBack(token: string, delayMs = 0): Promise<void> {
    checkRange('delayMs', delayMs, 0, MAX_WAIT_MS);
    const [, lane, sequence] = /^([A-Za-z0-9_-]{1,64}) (\d{1,15})$/.exec(token) ?? [];
    if (lane === undefined)
      throw new PynqLlmError('BUS_SUBJECT_INVALID', `This is no token of a delivery of ${this.name}.`);
    this.#queue().lanes.get(lane)?.nak(Number(sequence), delayMs);
  }
  async list(lane: string): Promise<readonly QueuedMessage[]> {
    checkName(lane);
    return this.#queue()
      .store.all(lane)
      .map(({ sequence, id, data }) => ({ sequence, lane, id, data }));
  }
  async remove(sequence: number): Promise<boolean> {
    return this.#queue().store.remove(sequence);
  }

  onExhausted(handler: (exhausted: ExhaustedMessage) => void): Subscription {
    const { exhausted } = this.#queue();
    const tell = (message: ExhaustedMessage) => queueMicrotask(() => handler(message));
    const close = () => exhausted.delete(tell);
    exhausted.add(tell);
    this.#bus.closed.addEventListener('abort', close);
    return { dropped: 0, ready: Promise.resolve(), close };
  }

  #queue() {
    return this.#bus.open().queue(this.name);
  }
  #lane(name: string): Lane {
    checkName(name);
    const lane = this.#queue().lanes.get(name);
    if (lane) return lane;
    throw new PynqLlmError('BUS_MISSING', `The queue "${this.name}" has no open lane "${name}".`, {
      context: { queue: this.name, lane: name },
    });
  }

  #delivery(name: string, lane: Lane, { message, deliveries }: LaneDelivery): Delivery {
    const { sequence, id, data } = message;
    const open = () => this.#bus.open();
    return {
      sequence,
      lane: name,
      id,
      data,
      deliveries,
      token: `${name} ${sequence}`,
      async ack() {
        open();
        lane.ack(sequence);
      },
      nak(delayMs = 0) {
        open();
        lane.nak(sequence, checkRange('delayMs', delayMs, 0, MAX_WAIT_MS));
      },
      working() {
        open();
        lane.working(sequence);
      },
    };
  }
}
