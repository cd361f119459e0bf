import {
  columnsThatPay,
  DEFAULT_LIMITS,
  type SchedulingLimits,
  type SequenceView,
  type Snapshot,
} from '../../../../llm/scheduling/index.js';

/** A client's path, or its only name. */
export type ViewRest = Partial<Omit<SequenceView, 'client'>> & {
  readonly client?: string | readonly string[] | undefined;
};

/** A sequence that runs and generates, interactive and alone of its client, unless told otherwise. */
export function view(id: number, { client = `client ${id}`, ...rest }: ViewRest = {}): SequenceView {
  return {
    id,
    class: 'interactive',
    priority: 5,
    client: typeof client === 'string' ? [client] : client,
    arrivedAt: 0,
    servedAt: rest.arrivedAt ?? 0,
    state: 'running',
    begun: true,
    hasCredit: true,
    left: 1,
    found: 0,
    page: undefined,
    generates: true,
    drafts: 0,
    room: 0,
    pages: 1,
    ...rest,
  };
}

/** A request of `left` prompt tokens that has not begun. */
export function waiting(id: number, left: number, rest: ViewRest = {}): SequenceView {
  return view(id, { state: 'waiting', begun: false, left, generates: false, pages: 0, ...rest });
}

type Rest = Partial<Omit<Snapshot, 'limits'>> & { readonly limits?: Partial<SchedulingLimits> };

/** 64 columns, of which 15 cost as much again as the first; memory without end. */
export function snapshot(sequences: readonly SequenceView[], { limits, ...rest }: Rest = {}): Snapshot {
  const { maxColumns = 64, pageTokens = 16, cycles = (columns: number) => 1 + (columns - 1) / 15 } = rest;
  return {
    now: 0,
    limits: { ...DEFAULT_LIMITS, ...limits },
    maxColumns,
    payingColumns: columnsThatPay(maxColumns, pageTokens, cycles),
    cycles,
    freePages: 1_000_000,
    pageTokens,
    sequences,
    clients: new Map(),
    // Batch work is due.
    columnsSinceBatch: 1_000,
    batchServedAt: Number.NEGATIVE_INFINITY,
    turn: undefined,
    lastTurnMs: 0,
    msPerRequest: undefined,
    ...rest,
  };
}
