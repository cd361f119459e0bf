import { refusals } from './admission.js';
import { heldBack } from './held-back.js';
import { fairOrder } from './order.js';
import { PagePool } from './page-pool.js';
import { Places } from './places.js';
import {
  type Plan,
  SERVICE_CLASSES,
  type SequenceView,
  type ServiceClass,
  type Snapshot,
  type Turn,
} from './snapshot.js';
import { stepColumns } from './step-size.js';

/** Batch work has one column of so many, whatever else there is: a prompt of 2048 tokens waits two steps longer for it. */
const COLUMNS_PER_RESERVED = 160;
/** And one of so many while the one whose turn it is computes its prompt: others wait for its memory. */
const COLUMNS_PER_TURN = 2;
/** And so many of the places. */
const RESERVED_PLACES = 1;
/** Where every place is taken, clients that have less than their part of them begin all the same, up to so many times as many. */
const MOST_PLACES = 2;

/**
 * Decides the next step: a pure function, so that the policy is tested and simulated without a model.
 *
 * Interactive work comes first, at the next step and not when batch work ends; batch work keeps a small share of the
 * columns and one place, so that it always goes on. Within a class {@link fairOrder} decides. A step has one column for
 * every sequence, then pieces of prompts, then drafts. Where memory is short, the sequence with the last claim gives up
 * its cache and computes it again later.
 */
export function schedule(snapshot: Snapshot): Plan {
  const refused = refusals(snapshot);
  const gone = new Set(refused.map(({ id }) => id));
  const sequences = snapshot.sequences.filter(({ id }) => !gone.has(id));
  const running = sequences.filter(({ state }) => state === 'running');
  const pool = new PagePool(snapshot, running);
  const waiting = sequences.filter(({ state, hasCredit }) => state === 'waiting' && hasCredit);
  const admitted = admit(snapshot, waiting, running, pool);
  const served = [...running.filter((view) => view.hasCredit && !pool.preempted.has(view)), ...admitted];
  const able = served.filter(({ underWay }) => underWay !== 'waits');
  const left = waiting.filter((view) => !admitted.includes(view));
  const most = Math.ceil(served.length / (snapshot.stepsUnderWay ?? 1));
  const computing = served.filter(({ underWay, generates }) => underWay === 'waits' && !generates);
  const shares = share(snapshot, able, computing, most, pool, heldBack(able, left, snapshot));
  const turn = turnOf(snapshot, pool, admitted);
  return {
    refused,
    turn,
    lastTurnMs: snapshot.turn && !turn ? snapshot.now - snapshot.turn.at : snapshot.lastTurnMs,
    preempted: [...pool.preempted].map(({ id }) => id),
    admitted: admitted.filter((view) => !pool.preempted.has(view)).map(({ id }) => id),
    shares: shares
      .filter(({ view }) => !pool.preempted.has(view))
      .map(({ view, columns }) => ({ id: view.id, columns })),
  };
}

/** Whose turn it is from now on: of the one that begins with it, or still of the one that has it. */
function turnOf(
  { now, turn }: Snapshot,
  { guarded }: PagePool,
  admitted: readonly SequenceView[],
): Turn | undefined {
  if (guarded === undefined) return undefined;
  if (admitted.includes(guarded)) return { id: guarded.id, at: now };
  if (guarded.state !== 'running' || turn === undefined) return undefined;
  return guarded.generates && turn.generatesAt === undefined ? { ...turn, generatesAt: now } : turn;
}

/** Waiting sequences that begin, each class in its order; none is passed over because a later one needs less memory. */
function admit(
  { limits, ...snapshot }: Snapshot,
  waiting: readonly SequenceView[],
  running: readonly SequenceView[],
  pool: PagePool,
): SequenceView[] {
  const admitted: SequenceView[] = [];
  const hasBatch = [...waiting, ...running].some((view) => view.class === 'batch' && view.hasCredit);
  const reserved = hasBatch ? Math.min(RESERVED_PLACES, limits.maxSequences - 1) : 0;
  const places = limits.maxSequences - reserved;
  const parts = new Places(
    places,
    [...waiting, ...running].filter((view) => view.class === 'interactive' && view.hasCredit),
    snapshot.clients,
  );
  const hasPlace = (view: SequenceView): boolean => {
    const able = [...running, ...admitted].filter((one) => one.hasCredit && !pool.preempted.has(one));
    const ofClass = new Set(able.filter((one) => one.class === view.class));
    if (view.class === 'batch') return able.length < limits.maxSequences || ofClass.size < reserved;
    if (ofClass.size < places) return true;
    return ofClass.size < MOST_PLACES * places && parts.isBelowPart(view, (one) => ofClass.has(one));
  };
  const { guarded, foremost } = pool;
  if (guarded?.state === 'waiting' && waiting.includes(guarded) && hasPlace(guarded) && pool.admit(guarded))
    admitted.push(guarded);
  for (const served of SERVICE_CLASSES) {
    const ofClass = waiting.filter((view) => view.class === served && !admitted.includes(view));
    const order = fairOrder(ofClass, { limits, ...snapshot });
    // What it had computed waits for it; if others took its memory it would need a turn before interactive requests.
    if (foremost?.begun && ofClass.includes(foremost))
      order.sort((a, b) => Number(b === foremost) - Number(a === foremost));
    for (const view of order) {
      if (!hasPlace(view)) continue;
      if (!pool.admit(view)) break;
      admitted.push(view);
    }
  }
  return admitted;
}

interface ViewShare {
  readonly view: SequenceView;
  columns: number;
}

/**
 * Columns of each sequence: those that generate first, then the prompts.
 * @param computing prompts of which pieces are under way
 * @param mostSequences that have columns in the step
 */
function share(
  snapshot: Snapshot,
  able: readonly SequenceView[],
  computing: readonly SequenceView[],
  mostSequences: number,
  pool: PagePool,
  held: ReadonlyMap<SequenceView, unknown>,
): ViewShare[] {
  const ofClass = (served: ServiceClass, generates: boolean) =>
    fairOrder(
      able.filter((view) => view.class === served && view.generates === generates),
      snapshot,
    );
  const [typing, working] = [ofClass('interactive', true), ofClass('batch', true)];
  const [allPrompts, allBatchPrompts] = [ofClass('interactive', false), ofClass('batch', false)];
  const { leads, follow } = followers([...computing, ...allPrompts, ...allBatchPrompts]);
  const prompts = allPrompts.filter((view) => !follow.has(view));
  const batchPrompts = allBatchPrompts.filter((view) => !follow.has(view));
  const generating = typing.length + working.length;
  const most = stepColumns(
    snapshot.maxColumns,
    snapshot.payingColumns,
    generating,
    typing.length,
    snapshot.cycles,
  );
  const hasBatch = working.length + batchPrompts.length > 0;
  const turn = batchPrompts.filter((view) => view === pool.guarded);
  const due =
    turn.length > 0
      ? Math.max(1, Math.floor(most / COLUMNS_PER_TURN))
      : Number(snapshot.columnsSinceBatch + most >= COLUMNS_PER_RESERVED);
  const reserved = hasBatch ? Math.min(due, most - 1) : 0;

  const shares = new Map<SequenceView, number>();
  let left = most;
  /** Those that were held back and had their column. */
  const had = new Set<unknown>();
  const give = (views: readonly SequenceView[], columnsOf: (view: SequenceView) => number, keep: number) => {
    for (const view of views) {
      const holder = held.get(view);
      if (had.has(holder)) continue;
      const wanted = Math.min(holder === undefined ? columnsOf(view) : 1, columnsOf(view), left - keep);
      if (wanted <= 0 || pool.preempted.has(view)) continue;
      if (shares.size >= mostSequences && !shares.has(view)) continue;
      const columns = pool.claim(view, wanted, shares);
      if (columns === 0) continue;
      if (holder !== undefined) had.add(holder);
      shares.set(view, (shares.get(view) ?? 0) + columns);
      left -= columns;
    }
  };
  const rest = (view: SequenceView) => view.left - (shares.get(view) ?? 0);
  const one = (view: SequenceView) => Math.min(1, rest(view));
  const drafts = (view: SequenceView) => (shares.has(view) ? view.drafts : 0);
  give(inTurns(typing, prompts), one, reserved);
  give(prompts, rest, reserved);
  give(turn, rest, 0);
  give(inTurns(working, batchPrompts), one, 0);
  give(typing, drafts, 0);
  give(batchPrompts, rest, 0);
  give(working, drafts, 0);
  for (const [view, page] of follow) {
    // The one that it waits for had no memory: somebody has to go on.
    const leader = leads.get(page);
    if (leader === undefined || shares.has(leader) || leader.underWay !== undefined) continue;
    give([view], rest, 0);
    leads.set(page, view);
  }
  const inOrder = [...shares].map(([view, columns]) => ({ view, columns }));
  return [...inOrder.filter(({ view }) => view.generates), ...inOrder.filter(({ view }) => !view.generates)];
}

/**
 * Prompts that need the same page next: the first computes it and the others wait for it, as long as it has columns. What is
 * computed for one is there for all.
 */
function followers(prompts: readonly SequenceView[]) {
  const leads = new Map<number, SequenceView>();
  const follow = new Map<SequenceView, number>();
  for (const view of prompts) {
    if (view.page === undefined) continue;
    if (leads.has(view.page)) follow.set(view, view.page);
    else leads.set(view.page, view);
  }
  return { leads, follow };
}

/** Where there are more sequences than columns, those go first that have waited longest since their last one. */
function inTurns(...views: readonly (readonly SequenceView[])[]): SequenceView[] {
  return views.flat().sort((a, b) => a.servedAt - b.servedAt);
}
