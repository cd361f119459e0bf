import { type ClientNode, clientTree } from './client-tree.js';
import type { ClientAccount, SequenceView, Snapshot } from './snapshot.js';

/** Levels that a request rises by once half of the time until its deadline is over. */
const DEADLINE_LEVELS = 2;
/** Aging times during which a short prompt goes ahead of a longer one of another client that had less. */
const SHORT_FIRST = 4;
/**
 * Columns by weight that a client may have had more than another one that waits, and still go ahead of it by its level, by
 * its wait or beyond its places: a long prompt and its answer. Who calls everything urgent, or has long prompts only, would
 * else have all of the board.
 */
export const MOST_AHEAD = 1_024;

/**
 * The order in which sequences of one class are served. Clients take turns, at each level of their names: the next is the one
 * whose foremost request has the highest level, and among equals the one that has had the least for its weight; a prompt counts
 * as if it had been served, so short ones go ahead, until the request is {@link SHORT_FIRST} aging times old. Of one client's
 * requests the highest level goes first, then the shortest prompt, then what computes that prompt already, then the oldest.
 *
 * A level is the priority, raised by the time without service. Between clients it counts from when any of the client's
 * requests began, and never lifts one above the highest priority that waits: there the client that had less goes first, so
 * that neither a high priority starves anybody nor waiting gets anybody more than a fair part. Who has had nothing for half
 * of the time that its class may wait goes ahead of all that, the longest first; but a client that had {@link MOST_AHEAD}
 * more than another one goes behind it all the same.
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
  readonly #snapshot: Snapshot;
  /** Those with a request left. */
  #clients: Client[];
  #highest = Number.NEGATIVE_INFINITY;
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
        rank: [],
      };
    });
    this.#choose();
  }

  get next(): SequenceView | undefined {
    return this.#foremost?.line.next;
  }

  take(): void {
    const client = this.#foremost;
    const view = client?.line.next;
    if (client === undefined || view === undefined) return;
    // As if it had been served already: the client's next request is behind those of clients that had less.
    client.virtualTime += view.left / client.weight;
    client.servedAt = this.#snapshot.now;
    client.line.take();
    this.#choose(client);
  }

  /** @param changed the only client whose rank may be another one; everybody unless given */
  #choose(changed?: Client): void {
    this.#clients = this.#clients.filter(({ line }) => line.next !== undefined);
    let highest = Number.NEGATIVE_INFINITY;
    let least = Number.POSITIVE_INFINITY;
    for (const { line, virtualTime } of this.#clients) {
      highest = Math.max(highest, line.next?.priority ?? highest);
      least = Math.min(least, virtualTime);
    }
    for (const client of this.#clients)
      if (changed === undefined || client === changed || highest !== this.#highest)
        client.rank = rankOf(client, highest, this.#snapshot);
    this.#highest = highest;
    this.#foremost = undefined;
    for (const client of this.#clients)
      if (this.#foremost === undefined || compare(client, this.#foremost, least) < 0) this.#foremost = client;
  }
}

interface Client {
  readonly line: Line;
  readonly weight: number;
  virtualTime: number;
  servedAt: number;
  rank: readonly number[];
}

/** What a client's foremost request is compared by with another client's, the most important first; the least goes first. */
function rankOf(client: Client, highest: number, snapshot: Snapshot): readonly number[] {
  const view = client.line.next;
  if (view === undefined) return [];
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

/** @param least the least virtual time of all that are compared */
function compare(a: Client, b: Client, least: number): number {
  const overdue = a.rank[0] - b.rank[0];
  const ahead = Number(a.virtualTime - least > MOST_AHEAD) - Number(b.virtualTime - least > MOST_AHEAD);
  if (ahead !== 0 || overdue !== 0) return ahead || overdue;
  const first = a.rank.findIndex((value, i) => value !== b.rank[i]);
  return first < 0 ? 0 : a.rank[first] - b.rank[first];
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
