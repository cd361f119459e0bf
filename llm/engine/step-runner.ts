import { isPynqLlmError } from '../../errors/index.js';
import type { Column } from '../model/column.js';
import { addCost } from '../model/cost.js';
import { computeAgain } from '../model/forward-again.js';
import type { Model } from '../model/model.js';
import type { ClientAccounts, EngineMetrics } from '../scheduling/index.js';
import type { Job } from './job.js';
import type { Jobs } from './jobs.js';
import type { Planner } from './planner.js';
import type { JobShare, Step } from './steps-under-way.js';

export interface StepRunnerOptions {
  readonly model: Model;
  readonly jobs: Jobs;
  readonly planner: Planner;
  readonly clients: ClientAccounts;
  readonly metrics: EngineMetrics;
  readonly now: () => number;
}

/** Computes a step that was decided, bills those who have a part in it, and gives them their tokens. */
export class StepRunner {
  readonly #options: StepRunnerOptions;

  constructor(options: StepRunnerOptions) {
    this.#options = options;
  }

  /**
   * Where the device fails it is tried once more, which gives the same bits; a second failure ends the generations that have a
   * part in it.
   * @param hidden what the layers before left of it, where they are elsewhere
   * @returns whether it was computed
   */
  run({ columns, shares }: Step, hidden: Float32Array | undefined): boolean {
    const { model, jobs } = this.#options;
    const before = model.cost();
    for (const job of shares.keys()) job.stepsUnderWay--;
    try {
      this.#compute(columns, shares, hidden);
    } catch (error) {
      if (!isPynqLlmError(error)) {
        for (const { cache, position } of columns) cache.truncate(position);
        throw error;
      }
      for (const job of shares.keys()) if (jobs.has(job)) jobs.lose(job, error);
      return false;
    }
    this.#bill(columns.length, shares, before);
    jobs.endCancelled();
    for (const [job, { computed }] of shares) {
      if (!jobs.has(job)) continue;
      if (job.stepsUnderWay > 0) {
        job.sequence.settle(computed);
        continue;
      }
      if (job.sequence.left === 0) this.#sample(job);
      if (jobs.has(job)) job.sequence.settle();
    }
    return true;
  }

  /** Computes the columns of those that have not ended meanwhile: of others the places are gone. */
  #compute(
    columns: readonly Column[],
    shares: ReadonlyMap<Job, JobShare>,
    hidden: Float32Array | undefined,
  ): void {
    const { model, jobs, metrics } = this.#options;
    const gone = [...shares].filter(([job]) => !jobs.has(job)).map(([, share]) => share);
    const isKept = (at: number) => !gone.some(({ first, columns: n }) => at >= first && at < first + n);
    const kept = gone.length === 0 ? columns : columns.filter((_, at) => isKept(at));
    if (kept.length === 0) return;
    const { embedding } = model.config;
    const rows = (all: Float32Array) => all.filter((_, value) => isKept(Math.floor(value / embedding)));
    computeAgain(model, kept, gone.length === 0 ? hidden : hidden && rows(hidden), metrics);
  }

  #bill(total: number, shares: ReadonlyMap<Job, JobShare>, before: ReturnType<Model['cost']>): void {
    const { model, planner, clients, metrics } = this.#options;
    const after = model.cost();
    const used = { interactive: 0, batch: 0 };
    for (const [{ sequence, client, class: served }, { columns: share }] of shares) {
      addCost(sequence.cost, before, after, share / total);
      clients.charge(client, share);
      used[served] += share;
    }
    planner.count(total, used.batch);
    metrics.step(used, model.maxColumns);
  }

  #sample(job: Job): void {
    const { jobs, metrics } = this.#options;
    const now = this.#options.now();
    try {
      for (const { token, finish } of job.sequence.samples(now)) {
        if (token !== undefined) job.tell(token, now, metrics);
        if (finish === undefined) continue;
        job.sequence.settle();
        jobs.finish(job, finish);
      }
    } catch (error) {
      if (!isPynqLlmError(error)) throw error;
      jobs.fail(job, error);
    }
  }
}
