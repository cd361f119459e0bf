import { isPynqLlmError } from '../../errors/index.js';
import type { SpillFolder } from '../kv/spill-folder.js';
import type { Column } from '../model/column.js';
import type { Model } from '../model/model.js';
import type { EngineMetrics, Plan } from '../scheduling/index.js';
import type { Job } from './job.js';
import type { Jobs } from './jobs.js';
import type { Planner } from './planner.js';
import type { JobShare, Step } from './steps-under-way.js';

export interface StepColumnsOptions {
  readonly model: Model;
  readonly jobs: Jobs;
  readonly planner: Planner;
  readonly metrics: EngineMetrics;
  /** See EngineOptions. */
  readonly spill: SpillFolder | undefined;
}

/** Carries out what the policy decided of a step: who is refused, makes room, or begins, and the columns of those who have a part. */
export class StepColumns {
  readonly #options: StepColumnsOptions;

  constructor(options: StepColumnsOptions) {
    this.#options = options;
  }

  take(now: number): Pick<Step, 'columns' | 'shares'> {
    const { jobs, planner } = this.#options;
    const plan = planner.plan(now);
    jobs.refuse(plan.refused);
    for (const id of plan.preempted) this.#preempt(jobs.get(id));
    for (const id of plan.admitted) jobs.begin(jobs.get(id), now);
    jobs.rate.wait(jobs.all.some((job) => job.state === 'waiting' && job.sequence.hasCredit));
    return this.#columnsOf(plan, now);
  }

  /** Its cache is read back, or computed again, once it has its turn. */
  #preempt(job: Job): void {
    const { model, metrics, spill } = this.#options;
    job.state = 'waiting';
    metrics.classes[job.class].preempted++;
    model.kvPool.countPreemption();
    job.sequence.makeRoom(spill);
  }

  #columnsOf({ shares }: Plan, now: number): Pick<Step, 'columns' | 'shares'> {
    const { model, jobs, planner, metrics } = this.#options;
    const columns: Column[] = [];
    const taking = new Map<Job, JobShare>();
    for (const { id, columns: most } of shares) {
      const job = jobs.get(id);
      job.serve(now, metrics);
      planner.serve(job.class, now);
      try {
        const isUnderWay = job.stepsUnderWay > 0;
        const taken = job.sequence.columns(most, now, isUnderWay);
        model.extend(taken);
        const computed = (taken.at(-1)?.position ?? -1) + 1;
        taking.set(job, { first: columns.length, columns: taken.length, computed });
        columns.push(...taken);
        job.stepsUnderWay++;
      } catch (error) {
        if (!isPynqLlmError(error)) throw error;
        if (error.code === 'LLM_KV_FULL' && job.stepsUnderWay > 0) continue;
        // Copies of shared pages may need more than was planned with; who is alone can wait for nobody.
        const waits = error.code === 'LLM_KV_FULL' && jobs.running.length > 1;
        if (waits) this.#preempt(job);
        else jobs.fail(job, error);
      }
    }
    return { columns, shares: taking };
  }
}
