/** `interactive` for somebody who watches the text come, `batch` for work that only has to be done. */
export type ServiceClass = 'interactive' | 'batch';

/** Both classes, the one that goes first first. */
export const SERVICE_CLASSES = ['interactive', 'batch'] as const satisfies readonly ServiceClass[];

/** 9 goes first. */
export const MAX_PRIORITY = 9;
export const DEFAULT_PRIORITY = 5;

/**
 * Whose a request is, outermost name first: who has a share of the board, then who divides that share. Clients choose
 * later names only, so that one that calls itself anew has no more than before.
 */
export type ClientPath = readonly string[];

/** A sequence as the policy sees it. Times are milliseconds of one clock. */
export interface SequenceView {
  readonly id: number;
  readonly class: ServiceClass;
  /** 0 to {@link MAX_PRIORITY}. */
  readonly priority: number;
  readonly client: ClientPath;
  readonly arrivedAt: number;
  /** When it last had a column; `arrivedAt` before the first. */
  readonly servedAt: number;
  /** When it is of no use any more. */
  readonly deadlineAt?: number | undefined;
  readonly state: 'waiting' | 'running';
  /** Whether it ever had a column: it is neither refused nor, once its memory was taken, forgotten. */
  readonly begun: boolean;
  /** Whether its client gave credit for a token; without it nothing is computed for the sequence. */
  readonly hasCredit: boolean;
  /** Tokens to compute before the next one can be sampled, from 1. */
  readonly left: number;
  /** Whether it has sampled a token and waits for another. */
  readonly generates: boolean;
  /** Tokens before them whose pages of keys and values are there already, nobody's or somebody else's. */
  readonly found: number;
  /** The page that its prompt needs next and nobody has yet: who needs the same one has the same number. */
  readonly page: number | undefined;
  /** Columns beyond the first that it may fill with drafted tokens. */
  readonly drafts: number;
  /** Tokens that fit into the pages of KV cache that it holds. */
  readonly room: number;
  /** Pages that would be free without it. */
  readonly pages: number;
  /**
   * Where it has columns in steps that are under way, so that its memory stays its own: whether it can have some in the next one
   * too, or waits for what comes of them.
   */
  readonly underWay?: 'goes on' | 'waits';
}

/** What a client has had. */
export interface ClientAccount {
  /** Columns computed for it, divided by its weight; a client that comes back begins at the least of those present. */
  readonly virtualTime: number;
  /** Its part relative to those of the clients it divides something with, above 0. */
  readonly weight: number;
  /** When one of its requests last began. */
  readonly servedAt: number;
  /** Those who divide its part, by their names. */
  readonly inside?: ReadonlyMap<string, ClientAccount> | undefined;
}

/** Everything that a step is decided by. */
export interface Snapshot {
  readonly now: number;
  readonly limits: SchedulingLimits;
  /** Columns that a step can have. */
  readonly maxColumns: number;
  /** Steps that are under way at a time, among which sequences are divided; 1 unless given. */
  readonly stepsUnderWay?: number | undefined;
  /** Of them, those for prompts and drafts that pay: see `columnsThatPay`. */
  readonly payingColumns: number;
  /** What a step of so many columns costs, of which so many want logits (all unless given); 0 where the core has no part in it. */
  readonly cycles: (columns: number, logits?: number) => number;
  /** Free pages of KV cache, and tokens of each. */
  readonly freePages: number;
  readonly pageTokens: number;
  /** Of a model with windows: the share of a page that layers with a window have, and of how many pages they keep it. */
  readonly windowed?: { readonly share: number; readonly pages: number } | undefined;
  readonly sequences: readonly SequenceView[];
  /** By their first names. */
  readonly clients: ReadonlyMap<string, ClientAccount>;
  /** Columns of all steps since the last one in which batch work had any. */
  readonly columnsSinceBatch: number;
  /** When batch work last had a column, and whose turn it is to have memory before interactive requests: see {@link Plan}. */
  readonly batchServedAt: number;
  readonly turn: Turn | undefined;
  /** How long the last turn lasted, 0 before the first: interactive requests have the memory at least as long. */
  readonly lastTurnMs: number;
  /** Mean time from one request's end to the next one's; unknown at first, and again once nobody waits. */
  readonly msPerRequest: number | undefined;
}

/** Bounds of the policy; docs/scheduling.md has each with its reason. */
export interface SchedulingLimits {
  /** Sequences that generate at a time. */
  readonly maxSequences: number;
  /** Sequences in memory at a time, those included whose clients read nothing. */
  readonly maxHeld: number;
  /** Requests that may wait. */
  readonly maxQueued: number;
  /** Milliseconds that a request may wait for its first column. */
  readonly maxWaitMs: Readonly<Record<ServiceClass, number>>;
  /** Milliseconds without a column for any batch work after which the foremost request of it gets memory before interactive ones. */
  readonly batchPatienceMs: number;
  /** Milliseconds that it then keeps it at least. */
  readonly batchTurnMs: number;
  /** Milliseconds without a column that count as much as one level of priority. */
  readonly agingMs: number;
}

export const DEFAULT_LIMITS: SchedulingLimits = {
  maxSequences: 8,
  maxHeld: 32,
  maxQueued: 64,
  maxWaitMs: { interactive: 120_000, batch: 3_600_000 },
  batchPatienceMs: 30_000,
  batchTurnMs: 10_000,
  agingMs: 5_000,
};

/** What happens before and in the next step. */
export interface Plan {
  /** Requests that are not kept waiting any longer. */
  readonly refused: readonly Refusal[];
  /** Running sequences that give up their cache and wait. */
  readonly preempted: readonly number[];
  /** Waiting sequences that begin, or begin again. */
  readonly admitted: readonly number[];
  /** Columns of each sequence in the step, in this order: what one leaves unused the next ones may have. */
  readonly shares: readonly Share[];
  /** For the next snapshot. */
  readonly turn?: Turn | undefined;
  readonly lastTurnMs?: number | undefined;
}

/** A batch sequence has memory before interactive requests. */
export interface Turn {
  readonly id: number;
  /** Since when. */
  readonly at: number;
  /** When its prompt was computed, or computed again. */
  readonly generatesAt?: number | undefined;
}

export interface Refusal {
  readonly id: number;
  /** When it is worth asking again. */
  readonly retryAfterMs: number;
}

export interface Share {
  readonly id: number;
  readonly columns: number;
}
