import { PynqLlmError } from '../../errors/index.js';
import type { Model } from '../model/model.js';
import { type Pace, predictEnd, refusals } from '../scheduling/index.js';
import { columnCost } from './column-cost.js';
import { Job, type ServiceOptions, type TokenSink } from './job.js';
import type { Jobs } from './jobs.js';
import type { Planner } from './planner.js';
import type { EngineSequence } from './request.js';

export interface AdmissionOptions {
  readonly model: Model;
  readonly jobs: Jobs;
  readonly planner: Planner;
  readonly pace: Pace;
}

/** Lets requests in, and refuses those that would have to wait too long. */
export class Admission {
  readonly #options: AdmissionOptions;
  #nextId = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /**
   * Where too many wait, the last one of the client with the most is refused, which may be another one.
   * @throws PynqLlmError LLM_OVERLOADED, LLM_PREDICTED_LATE, LLM_REQUEST_INVALID
   */
  enter(sequence: EngineSequence, sink: TokenSink, service: ServiceOptions, now: number): Job {
    const { jobs, planner } = this.#options;
    const job = new Job(this.#nextId++, sequence, sink, service, now);
    jobs.enter(job);
    jobs.refuse(refusals(planner.snapshot(now)), job);
    if (service.maxPredictedMs !== undefined) this.#refuseLate(job, service.maxPredictedMs, now);
    return job;
  }

  /** @throws PynqLlmError LLM_PREDICTED_LATE where the request is likely to end later than that */
  #refuseLate(job: Job, maxPredictedMs: number, now: number): void {
    const { jobs } = this.#options;
    const predictedMs = this.#predict(job, jobs.all, now);
    if (predictedMs === undefined || predictedMs <= maxPredictedMs) return;
    const aloneMs = this.#predict(job, [job], now) ?? predictedMs;
    jobs.turnAway(job);
    const seconds = (ms: number) => Math.round(ms / 100) / 10;
    throw new PynqLlmError(
      'LLM_PREDICTED_LATE',
      `The answer is likely to take ${seconds(predictedMs)} s, ${seconds(predictedMs - aloneMs)} s of them because others are before it (${jobs.count}), and may take ${seconds(maxPredictedMs)} s.`,
      {
        context: {
          predictedMs: Math.round(predictedMs),
          aloneMs: Math.round(aloneMs),
          maxPredictedMs,
          others: jobs.count,
          retryAfterMs: Math.max(1_000, Math.round(predictedMs - aloneMs)),
        },
      },
    );
  }

  /** Milliseconds until a request is likely to end, as the last one of some; undefined while nothing is known of this board. */
  #predict({ id }: Job, among: readonly Job[], now: number): number | undefined {
    const { model, jobs, planner, pace } = this.#options;
    if (pace.msOf(columnCost(model, 1)) === undefined) return undefined;
    const ahead = (which: number) => {
      const { mostTokens, width, mayEnd } = jobs.get(which).sequence;
      return { tokens: mayEnd ? pace.lengthOf(mostTokens) : mostTokens, width };
    };
    const snapshot = { ...planner.snapshot(now), sequences: among.map((job) => job.view()) };
    return predictEnd(snapshot, id, ahead, (columns) => pace.msOf(columnCost(model, columns)) ?? 0);
  }
}
