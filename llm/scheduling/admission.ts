import { compareClaims } from './order.js';
import type { Refusal, SequenceView, ServiceClass, Snapshot } from './snapshot.js';

/** Where nothing has ended yet that a rate could be taken from. */
const FIRST_RETRY_MS = 2_000;
const LEAST_RETRY_MS = 1_000;
const MOST_RETRY_MS = 600_000;

/**
 * Requests that are not kept waiting: those that waited longer than their class may, those that would, by the rate at
 * which requests end, and what the queue has no place for. The lowest class, the lowest priority and the latest come first.
 * What has begun is never refused.
 */
export function refusals(snapshot: Snapshot): Refusal[] {
  const { limits, now, msPerRequest = 0 } = snapshot;
  const waiting = snapshot.sequences
    .filter(({ state, begun }) => state === 'waiting' && !begun)
    .sort(compareClaims);
  const free = freePlaces(snapshot);
  const kept: SequenceView[] = [];
  const refused: Refusal[] = [];
  for (const view of waiting) {
    const waited = view.able ? now - view.arrivedAt : 0;
    // Those ahead who take places that are free do not keep it waiting.
    const ahead = Math.max(0, kept.length - free[view.class]);
    const tooLong = Math.max(waited, ahead * msPerRequest) > limits.maxWaitMs[view.class];
    if (kept.length < limits.maxQueued && !tooLong) kept.push(view);
    else refused.push({ id: view.id, retryAfterMs: retryAfter(ahead, msPerRequest) });
  }
  return refused;
}

/** Places for each class: interactive requests do not wait for those that batch work has. */
function freePlaces({ sequences, limits }: Snapshot): Readonly<Record<ServiceClass, number>> {
  const taken = sequences.filter(({ begun, able }) => begun && able);
  const interactive = taken.filter((view) => view.class === 'interactive').length;
  return { interactive: limits.maxSequences - interactive, batch: limits.maxSequences - taken.length };
}

/** By then about half of those ahead are done. */
function retryAfter(ahead: number, msPerRequest: number): number {
  const ms = msPerRequest === 0 ? FIRST_RETRY_MS : (ahead * msPerRequest) / 2;
  return Math.ceil(Math.min(MOST_RETRY_MS, Math.max(LEAST_RETRY_MS, ms)));
}
