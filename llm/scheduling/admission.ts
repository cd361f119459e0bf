import { type ClientNode, clientTree } from './client-tree.js';
import { compareClaims } from './order.js';
import {
  type Refusal,
  SERVICE_CLASSES,
  type SequenceView,
  type ServiceClass,
  type Snapshot,
} from './snapshot.js';

/** Where nothing has ended yet that a rate could be taken from. */
const FIRST_RETRY_MS = 2_000;
const LEAST_RETRY_MS = 1_000;
const MOST_RETRY_MS = 600_000;

/**
 * Requests that are not kept waiting: those that waited longer than their class may, what the queue has no place for, and
 * those that would wait too long, by the rate at which requests end and the order in which they are to begin. Who has the most
 * places of the queue loses one first. What has begun is never refused.
 */
export function refusals(snapshot: Snapshot): Refusal[] {
  const { limits, now, msPerRequest = 0 } = snapshot;
  const waiting = snapshot.sequences.filter(({ state, begun }) => state === 'waiting' && !begun);
  const late = waiting.filter(
    (view) => view.hasCredit && now - view.arrivedAt > limits.maxWaitMs[view.class],
  );
  const others = waiting.filter((view) => !late.includes(view));
  const gone = new Set([...late, ...surplusOf(others, limits.maxQueued)]);
  const isQuick = SERVICE_CLASSES.every(
    (served) => waiting.length * msPerRequest <= limits.maxWaitMs[served],
  );
  if (gone.size === 0 && isQuick) return [];

  const free = freePlaces(snapshot);
  const refused: Refusal[] = [];
  let kept = 0;
  for (const view of byBeginning(waiting)) {
    // Those ahead who take places that are free do not keep it waiting.
    const ahead = Math.max(0, kept - free[view.class]);
    if (gone.has(view) || ahead * msPerRequest > limits.maxWaitMs[view.class])
      refused.push({ id: view.id, retryAfterMs: retryAfter(ahead, msPerRequest) });
    else kept++;
  }
  return refused;
}

/** Requests beyond what may wait: of the client that has the most waiting, and of those who divide its part, the last claim. */
function surplusOf(waiting: readonly SequenceView[], most: number): Set<SequenceView> {
  const gone = new Set<SequenceView>();
  if (waiting.length <= most) return gone;
  const clients = clientTree(waiting.toSorted(compareClaims));
  while (waiting.length - gone.size > most) gone.add(lastOf(clients, gone));
  return gone;
}

function lastOf(clients: readonly ClientNode[], gone: ReadonlySet<SequenceView>): SequenceView {
  const lines = clients
    .map(({ views, inside }) => ({ left: views.filter((view) => !gone.has(view)), inside }))
    .filter(({ left }) => left.length > 0)
    .map(({ left, inside }) => ({ length: left.length, last: left[left.length - 1], inside }));
  const [{ last, inside }] = lines.sort((a, b) => b.length - a.length || compareClaims(b.last, a.last));
  return inside.length > 0 ? lastOf(inside, gone) : last;
}

/**
 * About the order in which they begin, whoever comes meanwhile: a request of each client in turn. What goes ahead by its
 * priority or as a short prompt does so for a while only.
 */
export function byBeginning(waiting: readonly SequenceView[]): SequenceView[] {
  const claims = waiting.toSorted(compareClaims);
  return SERVICE_CLASSES.flatMap((served) =>
    inTurns(clientTree(claims.filter((view) => view.class === served))),
  );
}

function inTurns(clients: readonly ClientNode[]): SequenceView[] {
  const lines = clients.map(({ views, inside }) => (inside.length > 0 ? inTurns(inside) : views));
  const rounds = Math.max(0, ...lines.map(({ length }) => length));
  return Array.from({ length: rounds }, (_, round) =>
    lines.flatMap((line) => line.slice(round, round + 1)).sort(compareClaims),
  ).flat();
}

/** Places for each class: interactive requests do not wait for those that batch work has. */
function freePlaces({ sequences, limits }: Snapshot): Readonly<Record<ServiceClass, number>> {
  const taken = sequences.filter(({ begun, hasCredit }) => begun && hasCredit);
  const interactive = taken.filter((view) => view.class === 'interactive').length;
  return { interactive: limits.maxSequences - interactive, batch: limits.maxSequences - taken.length };
}

/** By then about half of those ahead are done. */
function retryAfter(ahead: number, msPerRequest: number): number {
  const ms = msPerRequest === 0 ? FIRST_RETRY_MS : (ahead * msPerRequest) / 2;
  return Math.ceil(Math.min(MOST_RETRY_MS, Math.max(LEAST_RETRY_MS, ms)));
}
