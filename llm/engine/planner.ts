import { PAGE_TOKENS } from '../kv/layout.js';
import type { Model } from '../model/model.js';
import {
  type ClientAccounts,
  columnsThatPay,
  type Plan,
  type SchedulingLimits,
  type ServiceClass,
  type Snapshot,
  schedule,
  type Turn,
} from '../scheduling/index.js';
import type { Jobs } from './jobs.js';

export interface PlannerOptions {
  readonly model: Model;
  readonly jobs: Jobs;
  readonly clients: ClientAccounts;
  readonly limits: SchedulingLimits;
  /** See EngineOptions. */
  readonly microBatches: number;
}

/** Asks the policy: shows it the engine as it is, with what has to be remembered of the steps before. */
export class Planner {
  readonly #options: PlannerOptions;
  #turn: Turn | undefined;
  #lastTurnMs = 0;
  #batchServedAt = Number.NEGATIVE_INFINITY;
  #columnsSinceBatch = 0;
  /** Once the first step has asked for it. */
  #payingColumns: number | undefined;

  constructor(options: PlannerOptions) {
    this.#options = options;
  }

  /** What the next step is to have. */
  plan(now: number): Plan {
    const plan = schedule(this.snapshot(now));
    this.#turn = plan.turn;
    this.#lastTurnMs = plan.lastTurnMs ?? 0;
    return plan;
  }

  /** One of the class has columns in the step that begins now. */
  serve(served: ServiceClass, now: number): void {
    if (served === 'batch') this.#batchServedAt = now;
  }

  /** A step was computed. @param batch how many of its columns were batch work's */
  count(columns: number, batch: number): void {
    this.#columnsSinceBatch = batch > 0 ? 0 : this.#columnsSinceBatch + columns;
  }

  snapshot(now: number): Snapshot {
    const { model, jobs, clients, limits, microBatches } = this.#options;
    const cycles = (columns: number, logits?: number) => model.coreCycles(columns, logits);
    this.#payingColumns ??= columnsThatPay(model.maxColumns, PAGE_TOKENS, cycles);
    return {
      now,
      limits,
      maxColumns: model.maxColumns,
      stepsUnderWay: microBatches,
      payingColumns: this.#payingColumns,
      cycles,
      freePages: model.kvPool.freePages,
      pageTokens: PAGE_TOKENS,
      windowed: model.kvPool.memory.layout.windowed,
      // Who is to end waits for its steps under way, and has no further ones.
      sequences: jobs.all.map((job) => {
        const view = job.view();
        return job.stepsUnderWay > 0 && jobs.isEnding(job, now) ? { ...view, underWay: 'waits' } : view;
      }),
      clients: clients.all,
      columnsSinceBatch: this.#columnsSinceBatch,
      batchServedAt: this.#batchServedAt,
      turn: this.#turn,
      lastTurnMs: this.#lastTurnMs,
      msPerRequest: jobs.rate.msPerRequest,
    };
  }
}
