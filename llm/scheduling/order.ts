import { type ClientNode, clientTree } from './client-tree.js';
import type { ClientAccount, SequenceView, Snapshot } from './snapshot.js';

/** Levels that a request rises by once half of the time until its deadline is over. */
const DEADLINE_LEVELS = 2;
/** Aging times during which a short prompt goes ahead of a longer one of another client that had less. */
const SHORT_FIRST = 4;

/**
 * The order in which sequences of one class are served. Clients take turns, at each level of their names: the next is the one
 * whose foremost request has the highest level, and among equals the one that has had the least for its weight; a prompt counts
 * as if it had been served, so short ones go ahead, until the request is {@link SHORT_FIRST} aging times old. Of one client's
 * requests the highest level goes first, then the shortest prompt, then what computes that prompt already, then the oldest.
 *
 * A level is the priority, raised by the time without service. Between clients it counts from when any of the client's
 * requests began, and never lifts one above the highest priority that waits: there the client that had less goes first, so
 * that neither a high priority starves anybody nor waiting gets anybody more than a fair part. Who has had nothing for half
 * of the time that its class may wait goes ahead of all that, the longest first.
 */
export function fairOrder(views: readonly SequenceView[], snapshot: Snapshot): SequenceView[] {
  const turns = new Turns(clientTree(views), snapshot.clients, snapshot);
  const order: SequenceView[] = [];
  for (let next = turns.next; next !== undefined; next = turns.next) {
    turns.take();
    order.push(next);
  }
  return order;
}

/** Requests in the order of their service. */
interface Line {
  readonly next: SequenceView | undefined;
  take(): void;
}

/** The requests of one client. */
class Queue implements Line {
  readonly #views: readonly SequenceView[];
  #at = 0;

  constructor(views: readonly SequenceView[], snapshot: Snapshot) {
    this.#views = views.toSorted(
      (a, b) => own(b, snapshot) - own(a, snapshot) || a.left - b.left || a.found - b.found || earlier(a, b),
    );
  }

  get next(): SequenceView | undefined {
    return this.#views[this.#at];
  }

  take(): void {
    this.#at++;
  }
}

/** Clients that divide something between them. */
class Turns implements Line {
  readonly #clients: Client[];
  readonly #snapshot: Snapshot;
  #foremost: Client | undefined;

  constructor(
    nodes: readonly ClientNode[],
    accounts: ReadonlyMap<string, ClientAccount> | undefined,
    snapshot: Snapshot,
  ) {
    this.#snapshot = snapshot;
    this.#clients = nodes.map(({ name, views, inside }) => {
      const account = accounts?.get(name);
      return {
        line: inside.length === 0 ? new Queue(views, snapshot) : new Turns(inside, account?.inside, snapshot),
        weight: account?.weight ?? 1,
        virtualTime: account?.virtualTime ?? 0,
        servedAt: account?.servedAt ?? Number.NEGATIVE_INFINITY,
      };
    });
    this.#choose();
  }

  get next(): SequenceView | undefined {
    return this.#foremost?.line.next;
  }

  take(): void {
    const client = this.#foremost;
    if (client?.line.next === undefined) return;
    // As if it had been served already: the client's next request is behind those of clients that had less.
    client.virtualTime += client.line.next.left / client.weight;
    client.servedAt = this.#snapshot.now;
    client.line.take();
    this.#choose();
  }

  #choose(): void {
    const heads = this.#clients.flatMap((client) => {
      const { next } = client.line;
      return next === undefined ? [] : [{ client, view: next }];
    });
    const highest = Math.max(...heads.map(({ view }) => view.priority));
    const ranks = heads.map(({ client, view }) => rankOf(client, view, highest, this.#snapshot));
    const first = ranks.reduce((best, rank, i) => (compareRanks(rank, ranks[best]) < 0 ? i : best), 0);
    this.#foremost = heads.at(first)?.client;
  }
}

interface Client {
  readonly line: Line;
  readonly weight: number;
  virtualTime: number;
  servedAt: number;
}

/** What a client's foremost request is compared by with another client's, the most important first; the least goes first. */
function rankOf(client: Client, view: SequenceView, highest: number, snapshot: Snapshot): readonly number[] {
  const { now, limits } = snapshot;
  const since = Math.max(view.servedAt, client.servedAt);
  const isOverdue = now - since > limits.maxWaitMs[view.class] / 2;
  const isYoung = now - view.arrivedAt < SHORT_FIRST * limits.agingMs;
  return [
    isOverdue ? since : now,
    -levelBetween(view, since, highest, snapshot),
    client.virtualTime + (isYoung ? view.left / client.weight : 0),
    view.left,
    view.servedAt,
    view.arrivedAt,
    view.id,
  ];
}

function compareRanks(a: readonly number[], b: readonly number[]): number {
  const first = a.findIndex((value, i) => value !== b[i]);
  return first < 0 ? 0 : a[first] - b[first];
}

/** Among requests of one client. */
function own(view: SequenceView, snapshot: Snapshot): number {
  return aged(view, view.servedAt, snapshot) + urgency(view, snapshot);
}

/** Among the foremost requests of clients. */
function levelBetween(view: SequenceView, since: number, highest: number, snapshot: Snapshot): number {
  return Math.min(aged(view, since, snapshot), highest) + urgency(view, snapshot);
}

function aged({ priority }: SequenceView, servedAt: number, { now, limits }: Snapshot): number {
  return priority + Math.floor((now - servedAt) / limits.agingMs);
}

function urgency({ arrivedAt, deadlineAt }: SequenceView, { now }: Snapshot): number {
  return deadlineAt !== undefined && now - arrivedAt > deadlineAt - now ? DEADLINE_LEVELS : 0;
}

function earlier(a: SequenceView, b: SequenceView): number {
  return a.servedAt - b.servedAt || a.arrivedAt - b.arrivedAt || a.id - b.id;
}

/**
 * The order in which sequences keep their memory: class, priority, age. Unlike the order of service it never changes while
 * they run, so two sequences never take it from each other in turns, and the first one always gets to its end.
 */
export function compareClaims(a: SequenceView, b: SequenceView): number {
  const classes = Number(a.class === 'batch') - Number(b.class === 'batch');
  return classes || b.priority - a.priority || a.arrivedAt - b.arrivedAt || a.id - b.id;
}
