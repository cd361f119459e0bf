import {
  ClientAccounts,
  columnsThatPay,
  DEFAULT_LIMITS,
  DEFAULT_PRIORITY,
  EndRate,
  type Plan,
  type SchedulingLimits,
  type SequenceView,
  type Snapshot,
  type StepCost,
  type Turn,
} from '../../llm/index.js';
import { MAX_COLUMNS, STEP_COSTS } from './step-cost.js';
import type { Arrival } from './workload.js';

export const PAGE_TOKENS = 16;

/** What became of a request. Times are milliseconds of the virtual clock. */
export interface Outcome extends Arrival {
  readonly tokenTimes: readonly number[];
  /** Steps from its arrival to its first token. */
  readonly stepsToFirst: number | undefined;
  /** Columns computed for it. */
  readonly columns: number;
  /** Where it was refused: when to ask again. */
  readonly retryAfterMs: number | undefined;
}

export interface Simulation {
  readonly outcomes: readonly Outcome[];
  readonly endedAt: number;
  readonly steps: number;
  readonly preemptions: number;
  readonly cycles: number;
}

export interface SimulationOptions {
  readonly limits?: Partial<SchedulingLimits>;
  readonly weights?: ReadonlyMap<string, number>;
  /** Pages of 16 tokens; more than are ever needed unless given. */
  readonly pages?: number;
  /** What steps cost; the synthesised core's cycles unless given. */
  readonly cost?: StepCost;
  /** Stops there, whatever is under way; when all is done unless given. */
  readonly untilMs?: number;
  /** Clients that ask again: what comes next, from the time that its predecessor ended or was refused. */
  readonly next?: (ended: Outcome, now: number) => Arrival | undefined;
}

/** One request under way: what llm/job.ts and llm/sequence.ts keep of it, without the model. */
class Job {
  state: 'waiting' | 'running' = 'waiting';
  begun = false;
  servedAt: number;
  /** Tokens in the cache. */
  length = 0;
  readonly tokenTimes: number[] = [];
  stepsToFirst: number | undefined;
  columns = 0;
  retryAfterMs: number | undefined;

  constructor(
    readonly id: number,
    readonly arrival: Arrival,
    readonly arrivedInStep: number,
  ) {
    this.servedAt = arrival.at;
  }

  get left(): number {
    return this.arrival.promptTokens + this.tokenTimes.length - this.length;
  }

  get client(): readonly string[] {
    const { client, name } = this.arrival;
    return name === undefined ? [client] : [client, name];
  }

  get outcome(): Outcome {
    const { tokenTimes, stepsToFirst, columns, retryAfterMs } = this;
    return { ...this.arrival, tokenTimes, stepsToFirst, columns, retryAfterMs };
  }

  get pages(): number {
    return Math.ceil(this.length / PAGE_TOKENS);
  }

  view(): SequenceView {
    return {
      id: this.id,
      class: this.arrival.class,
      priority: this.arrival.priority ?? DEFAULT_PRIORITY,
      client: this.client,
      arrivedAt: this.arrival.at,
      servedAt: this.servedAt,
      state: this.state,
      begun: this.begun,
      hasCredit: true,
      left: this.left,
      found: 0,
      page: undefined,
      generates: this.tokenTimes.length > 0 && this.left === 1,
      drafts: 0,
      room: this.pages * PAGE_TOKENS - this.length,
      pages: this.pages,
    };
  }
}

/**
 * Lets a policy serve arrivals by a virtual clock that each step advances by what its columns cost on the core: what
 * llm/engine.ts does, without the model.
 */
export function simulate(
  arrivals: readonly Arrival[],
  policy: (snapshot: Snapshot) => Plan,
  {
    limits,
    weights = new Map(),
    pages = 1_000_000,
    cost = STEP_COSTS.synthesised,
    untilMs = Number.POSITIVE_INFINITY,
    next,
  }: SimulationOptions = {},
): Simulation {
  const jobs = new Map<number, Job>();
  const done: Job[] = [];
  const clients = new ClientAccounts(weights);
  const rate = new EndRate();
  const coming = [...arrivals];
  let [now, steps, preemptions, cycles, arrived] = [0, 0, 0, 0, 0];
  let turn: Turn | undefined;
  let lastTurnMs = 0;
  const cyclesOf = (columns: number, logits?: number) => cost.cycles(columns, logits);
  const payingColumns = columnsThatPay(MAX_COLUMNS, PAGE_TOKENS, cyclesOf);
  let batchServedAt = Number.NEGATIVE_INFINITY;
  let columnsSinceBatch = 0;
  const leave = (job: Job) => {
    jobs.delete(job.id);
    clients.leave(job.client);
    if (job.begun) rate.end(now);
    done.push(job);
    const following = next?.(job.outcome, now);
    if (following === undefined) return;
    const later = coming.findIndex(({ at }) => at > following.at);
    coming.splice(later < 0 ? coming.length : later, 0, following);
  };
  while ((coming.length > 0 || jobs.size > 0) && now < untilMs) {
    if (jobs.size === 0) now = Math.max(now, coming[0]!.at);
    while (coming.length > 0 && coming[0]!.at <= now) {
      const job = new Job(arrived++, coming.shift()!, steps);
      jobs.set(job.id, job);
      clients.enter(job.client);
    }
    const plan = policy({
      now,
      limits: { ...DEFAULT_LIMITS, ...limits },
      maxColumns: MAX_COLUMNS,
      payingColumns,
      cycles: cyclesOf,
      freePages: [...jobs.values()].reduce((free, job) => free - job.pages, pages),
      pageTokens: PAGE_TOKENS,
      sequences: [...jobs.values()].map((job) => job.view()),
      clients: clients.all,
      columnsSinceBatch,
      batchServedAt,
      turn,
      lastTurnMs,
      msPerRequest: rate.msPerRequest,
    });
    turn = plan.turn;
    lastTurnMs = plan.lastTurnMs ?? 0;
    for (const { id, retryAfterMs } of plan.refused) {
      jobs.get(id)!.retryAfterMs = retryAfterMs;
      leave(jobs.get(id)!);
    }
    for (const id of plan.preempted) Object.assign(jobs.get(id)!, { state: 'waiting', length: 0 });
    preemptions += plan.preempted.length;
    for (const id of plan.admitted) {
      jobs.get(id)!.state = 'running';
      clients.begin(jobs.get(id)!.client, now);
    }
    rate.wait([...jobs.values()].some(({ state }) => state === 'waiting'));
    const served = plan.shares.map(({ id, columns }) => ({ job: jobs.get(id)!, columns }));
    for (const { job, columns } of served) {
      Object.assign(job, { servedAt: now, begun: true, length: job.length + columns });
      job.columns += columns;
      clients.charge(job.client, columns);
      if (job.arrival.class === 'batch') batchServedAt = now;
    }
    const sampled = served.filter(({ job }) => job.left === 0);
    const columns = served.reduce((sum, share) => sum + share.columns, 0);
    columnsSinceBatch = served.some(({ job }) => job.arrival.class === 'batch')
      ? 0
      : columnsSinceBatch + columns;
    if (columns === 0) throw new Error('a policy gives somebody a column');
    now += cost.ms(columns, sampled.length);
    cycles += cost.cycles(columns, sampled.length);
    steps++;
    for (const { job } of sampled) {
      job.tokenTimes.push(now);
      job.stepsToFirst ??= steps - job.arrivedInStep;
      if (job.tokenTimes.length === job.arrival.outputTokens) leave(job);
    }
  }
  const outcomes = [...done, ...jobs.values()].sort((a, b) => a.id - b.id).map(({ outcome }) => outcome);
  return { outcomes, endedAt: now, steps, preemptions, cycles };
}
