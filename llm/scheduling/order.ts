import type { SequenceView, Snapshot } from './snapshot.js';

/** Levels that a request rises by once half of the time until its deadline is over. */
const DEADLINE_LEVELS = 2;
/** Aging times during which a short prompt goes ahead of a longer one of another client that had less. */
const SHORT_FIRST = 4;

/**
 * The order in which sequences of one class are served. Clients take turns: the next is the one whose foremost request
 * has the highest level, and among equals the one that has had the least for its weight; a prompt counts as if it had been
 * served, so short ones go ahead, until the request is {@link SHORT_FIRST} aging times old. Of one client's requests the highest
 * level goes first, then the shortest prompt, then what computes that prompt already, then the oldest.
 *
 * A level is the priority, raised by the time without service. Between clients it counts from when any of the client's
 * requests began, and never lifts one above the highest priority that waits: there the client that had less goes first, so
 * that neither a high priority starves anybody nor waiting gets anybody more than a fair part. Who has had nothing for half
 * of the time that its class may wait goes ahead of all that, the longest first.
 */
export function fairOrder(views: readonly SequenceView[], snapshot: Snapshot): SequenceView[] {
  const queues = new Map<string, SequenceView[]>();
  for (const view of views) {
    const queue = queues.get(view.client);
    if (queue === undefined) queues.set(view.client, [view]);
    else queue.push(view);
  }
  const heads = [...queues].map(([client, queue]) => {
    queue.sort(
      (a, b) => own(b, snapshot) - own(a, snapshot) || a.left - b.left || a.found - b.found || earlier(a, b),
    );
    const account = snapshot.clients.get(client);
    return {
      queue,
      next: 0,
      weight: account?.weight ?? 1,
      virtualTime: account?.virtualTime ?? 0,
      servedAt: account?.servedAt ?? Number.NEGATIVE_INFINITY,
    };
  });
  const order: SequenceView[] = [];
  while (order.length < views.length) {
    const ready = heads.filter(({ queue, next }) => next < queue.length);
    const highest = Math.max(...ready.map(({ queue, next }) => queue[next].priority));
    const ranks = ready.map((head) => rankOf(head, highest, snapshot));
    const foremost = ranks.reduce((best, rank, i) => (compareRanks(rank, ranks[best]) < 0 ? i : best), 0);
    const best = ready[foremost];
    const view = best.queue[best.next++];
    // As if it had been served already: the client's next request is behind those of clients that had less.
    best.virtualTime += view.left / best.weight;
    best.servedAt = snapshot.now;
    order.push(view);
  }
  return order;
}

interface Head {
  readonly queue: readonly SequenceView[];
  readonly next: number;
  readonly weight: number;
  readonly virtualTime: number;
  readonly servedAt: number;
}

/** What a client's foremost request is compared by with another client's, the most important first; the least goes first. */
function rankOf(head: Head, highest: number, snapshot: Snapshot): readonly number[] {
  const { now, limits } = snapshot;
  const view = head.queue[head.next];
  const since = Math.max(view.servedAt, head.servedAt);
  const isOverdue = now - since > limits.maxWaitMs[view.class] / 2;
  const isYoung = now - view.arrivedAt < SHORT_FIRST * limits.agingMs;
  return [
    isOverdue ? since : now,
    -levelBetween(view, since, highest, snapshot),
    head.virtualTime + (isYoung ? view.left / head.weight : 0),
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
