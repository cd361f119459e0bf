import { PynqLlmError } from '../../errors/index.js';
import {
  type ClientAccounts,
  EndRate,
  type EngineMetrics,
  type Pace,
  type Refusal,
} from '../scheduling/index.js';
import type { Job } from './job.js';
import type { FinishReason } from './request.js';

export interface JobsOptions {
  readonly metrics: EngineMetrics;
  readonly clients: ClientAccounts;
  /** Told how long texts become. */
  readonly pace: Pace;
  readonly now: () => number;
}

/** Requests that have not ended, and the ways in which they end. */
export class Jobs {
  /** How fast those end that have begun. */
  readonly rate = new EndRate();
  readonly #options: JobsOptions;
  /** In the order of their arrival. */
  readonly #jobs = new Map<number, Job>();
  readonly #cancelled = new Set<Job>();

  constructor(options: JobsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#jobs.size;
  }

  /** In the order of their arrival. */
  get all(): Job[] {
    return [...this.#jobs.values()];
  }

  get running(): Job[] {
    return this.all.filter(({ state }) => state === 'running');
  }

  /** One of a plan, which is about the jobs that there are. */
  get(id: number): Job {
    const job = this.#jobs.get(id);
    if (job === undefined) throw new Error('a plan is about sequences of its snapshot');
    return job;
  }

  has({ id }: Job): boolean {
    return this.#jobs.has(id);
  }

  /** Whether a step would do anything for one of them. */
  hasWork(now: number): boolean {
    for (const job of this.#jobs.values())
      if (this.isEnding(job, now) ? job.stepsUnderWay === 0 : job.sequence.hasCredit && job.isAble)
        return true;
    return false;
  }

  /** Whether it ends as soon as no step of it is under way. */
  isEnding(job: Job, now: number): boolean {
    return this.#cancelled.has(job) || job.isLate(now);
  }

  enter(job: Job): void {
    this.#jobs.set(job.id, job);
    this.#options.clients.enter(job.client);
  }

  begin(job: Job, now: number): void {
    job.state = 'running';
    this.#options.clients.begin(job.client, now);
  }

  /** It ends before the next step. Harmless when it has ended. */
  cancel(job: Job): void {
    if (this.has(job)) this.#cancelled.add(job);
  }

  endCancelled(): void {
    for (const job of [...this.#cancelled]) if (job.stepsUnderWay === 0) this.finish(job, 'cancelled');
  }

  endLate(now: number): void {
    for (const job of this.all)
      if (job.stepsUnderWay === 0 && job.isLate(now))
        this.fail(
          job,
          new PynqLlmError('LLM_DEADLINE', `The request was not done within its ${job.deadlineMs} ms.`),
        );
  }

  finish(job: Job, reason: FinishReason): void {
    const { metrics, pace, now } = this.#options;
    metrics.classes[job.class][reason === 'cancelled' ? 'cancelled' : 'finished']++;
    if (reason !== 'cancelled' && job.sequence.mayEnd && job.sequence.generated > 0)
      pace.end(job.sequence.generated, reason === 'end-of-text' || reason === 'stop');
    this.#remove(job);
    job.sink.onDone(job.sequence.finish(reason, now()));
  }

  fail(job: Job, error: PynqLlmError): void {
    this.#options.metrics.classes[job.class].failed++;
    this.#remove(job);
    job.fail(error, this.#options.now());
  }

  /** Who cancelled it while steps of it were under way does not want it to go on elsewhere. */
  lose(job: Job, error: PynqLlmError): void {
    if (this.#cancelled.has(job)) this.finish(job, 'cancelled');
    else this.fail(job, error);
  }

  /**
   * Too many wait.
   * @param submitted the one that is being submitted @throws PynqLlmError LLM_OVERLOADED for that one
   */
  refuse(refused: readonly Refusal[], submitted?: Job): void {
    for (const { id, retryAfterMs } of refused) {
      const job = this.get(id);
      const error = new PynqLlmError(
        'LLM_OVERLOADED',
        `${this.count - 1} other requests are being served or wait, ${this.#countOf(job) - 1} of them for the same client, and this ${job.class} one comes last or would take too long.`,
        { context: { retryAfterMs, class: job.class } },
      );
      this.turnAway(job);
      if (job === submitted) throw error;
      job.sink.onError(error);
    }
  }

  /** It is not served. Whoever turns it away says why. */
  turnAway(job: Job): void {
    this.#options.metrics.classes[job.class].refused++;
    this.#remove(job);
  }

  /** Requests of those who share the board's part that the job's client has. */
  #countOf({ client: [share] }: Job): number {
    return this.all.filter(({ client }) => client[0] === share).length;
  }

  #remove(job: Job): void {
    this.#jobs.delete(job.id);
    this.#cancelled.delete(job);
    this.#options.clients.leave(job.client);
    job.sequence.releaseCache();
    if (job.hasBegun) this.rate.end(this.#options.now());
  }
}
