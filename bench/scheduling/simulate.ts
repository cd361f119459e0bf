import {
  ClientAccounts,
  DEFAULT_LIMITS,
  DEFAULT_PRIORITY,
  type Plan,
  type SchedulingLimits,
  type SequenceView,
  type Snapshot,
  type Turn,
} from '../../llm/scheduling/index.js';
import { cyclesToMs, MAX_COLUMNS, stepCycles } from './step-cost.js';
import type { Arrival } from './workload.js';

const PAGE_TOKENS = 16;

/** What became of a request. Times are milliseconds of the virtual clock. */
export interface Outcome extends Arrival {
  readonly tokenTimes: readonly number[];
  /** Steps from its arrival to its first token. */
  readonly stepsToFirst: number | undefined;
  readonly refused: boolean;
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
  /** Stops there, whatever is under way; when all is done unless given. */
  readonly untilMs?: number;
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
  refused = false;

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

  get pages(): number {
    return Math.ceil(this.length / PAGE_TOKENS);
  }

  view(): SequenceView {
    return {
      id: this.id,
      class: this.arrival.class,
      priority: this.arrival.priority ?? DEFAULT_PRIORITY,
      client: this.arrival.client,
      arrivedAt: this.arrival.at,
      servedAt: this.servedAt,
      state: this.state,
      begun: this.begun,
      able: true,
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
    untilMs = Number.POSITIVE_INFINITY,
  }: SimulationOptions = {},
): Simulation {
  const jobs = new Map<number, Job>();
  const done: Job[] = [];
  const clients = new ClientAccounts(weights);
  let [now, steps, preemptions, cycles, arrived] = [0, 0, 0, 0, 0];
  let turn: Turn | undefined;
  let batchServedAt = Number.NEGATIVE_INFINITY;
  const leave = (job: Job) => {
    jobs.delete(job.id);
    clients.leave(job.arrival.client);
    done.push(job);
  };
  while ((arrived < arrivals.length || jobs.size > 0) && now < untilMs) {
    if (jobs.size === 0) now = Math.max(now, arrivals[arrived]!.at);
    for (; arrived < arrivals.length && arrivals[arrived]!.at <= now; arrived++) {
      jobs.set(arrived, new Job(arrived, arrivals[arrived]!, steps));
      clients.enter(arrivals[arrived]!.client);
    }
    const plan = policy({
      now,
      limits: { ...DEFAULT_LIMITS, ...limits },
      maxColumns: MAX_COLUMNS,
      cycles: (columns) => stepCycles(columns),
      freePages: [...jobs.values()].reduce((free, job) => free - job.pages, pages),
      pageTokens: PAGE_TOKENS,
      sequences: [...jobs.values()].map((job) => job.view()),
      clients: clients.all,
      batchServedAt,
      turn,
      msPerRequest: undefined,
    });
    turn = plan.turn;
    for (const { id } of plan.refused) {
      jobs.get(id)!.refused = true;
      leave(jobs.get(id)!);
    }
    for (const id of plan.preempted) Object.assign(jobs.get(id)!, { state: 'waiting', length: 0 });
    preemptions += plan.preempted.length;
    for (const id of plan.admitted) {
      jobs.get(id)!.state = 'running';
      clients.begin(jobs.get(id)!.arrival.client, now);
    }
    const served = plan.shares.map(({ id, columns }) => ({ job: jobs.get(id)!, columns }));
    for (const { job, columns } of served) {
      Object.assign(job, { servedAt: now, begun: true, length: job.length + columns });
      clients.charge(job.arrival.client, columns);
      if (job.arrival.class === 'batch') batchServedAt = now;
    }
    const sampled = served.filter(({ job }) => job.left === 0);
    const columns = served.reduce((sum, share) => sum + share.columns, 0);
    if (columns === 0) throw new Error('a policy gives somebody a column');
    const cost = stepCycles(columns, sampled.length);
    now += cyclesToMs(cost);
    cycles += cost;
    steps++;
    for (const { job } of sampled) {
      job.tokenTimes.push(now);
      job.stepsToFirst ??= steps - job.arrivedInStep;
      if (job.tokenTimes.length === job.arrival.outputTokens) leave(job);
    }
  }
  const outcomes = [...done, ...jobs.values()]
    .sort((a, b) => a.id - b.id)
    .map(({ arrival, tokenTimes, stepsToFirst, refused }) => ({
      ...arrival,
      tokenTimes,
      stepsToFirst,
      refused,
    }));
  return { outcomes, endedAt: now, steps, preemptions, cycles };
}
