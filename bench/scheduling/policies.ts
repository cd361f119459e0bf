import type { Plan, SequenceView, Share, Snapshot } from '../../llm/index.js';

/** Requests wait for as long as it takes: the simple policies do not refuse. */
const NOTHING = { refused: [], preempted: [] } as const;

/** First come, first served, with continuous batching: whoever came first has a place, and its prompt the columns. */
export function firstComeFirstServed(snapshot: Snapshot): Plan {
  const { running, waiting } = byArrival(snapshot);
  const admitted = waiting.slice(0, Math.max(0, snapshot.limits.maxSequences - running.length));
  return plan(snapshot, running, admitted);
}

/** A batch is put together once the one before has ended, and runs until its last sequence has ended. */
export function staticBatch(snapshot: Snapshot): Plan {
  const { running, waiting } = byArrival(snapshot);
  return plan(snapshot, running, running.length > 0 ? [] : waiting.slice(0, snapshot.limits.maxSequences));
}

function byArrival({ sequences }: Snapshot) {
  const inOrder = sequences.toSorted((a, b) => a.arrivedAt - b.arrivedAt || a.id - b.id);
  return {
    running: inOrder.filter(({ state }) => state === 'running'),
    waiting: inOrder.filter(({ state }) => state === 'waiting'),
  };
}

/** One column for everybody who generates, the others to prompts in the order of their arrival. */
function plan(
  { maxColumns }: Snapshot,
  running: readonly SequenceView[],
  admitted: readonly SequenceView[],
): Plan {
  const all = [...running, ...admitted];
  const shares: Share[] = [];
  let left = maxColumns;
  for (const { id, left: tokens } of all.toSorted((a, b) => Number(b.generates) - Number(a.generates))) {
    const columns = Math.min(tokens, left);
    if (columns === 0) break;
    shares.push({ id, columns });
    left -= columns;
  }
  return { ...NOTHING, admitted: admitted.map(({ id }) => id), shares };
}
