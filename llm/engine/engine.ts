import type { Pausable } from '../../constraint/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { KvPin } from '../kv/pool.js';
import type { Model } from '../model/model.js';
import { ClientAccounts, DEFAULT_LIMITS, EngineMetrics, Pace } from '../scheduling/index.js';
import type { StageBatch } from '../stages/index.js';
import { Admission } from './admission.js';
import { BeamSequence } from './beam-sequence.js';
import { columnCost } from './column-cost.js';
import { type EngineGeneration, generationOf } from './generation.js';
import { type GenerationState, replay } from './generation-state.js';
import type { JobStatus, ServiceOptions, TokenSink } from './job.js';
import { Jobs } from './jobs.js';
import { checkStage, type EngineOptions } from './options.js';
import { Planner } from './planner.js';
import { type EnginePrefill, type PrefillSink, prefill } from './prefill.js';
import type { PrefillSequence } from './prefill-sequence.js';
import { PrefixSequence } from './prefix-sequence.js';
import type { EngineSequence, GenerateRequest } from './request.js';
import { type ScoreOptions, ScoreSequence, type Scores } from './score-sequence.js';
import { Sequence } from './sequence.js';
import { StepColumns } from './step-columns.js';
import { StepRunner } from './step-runner.js';
import { type Step, StepsUnderWay } from './steps-under-way.js';

/**
 * Generates for several requests at a time. What a step has is decided by `schedule`; what a sequence gets does not
 * depend on the others or on the schedule, to the bit.
 */
export class Engine {
  readonly #model: Model;
  readonly #metrics: EngineMetrics;
  readonly #now: () => number;
  readonly #pace: Pace;
  readonly #jobs: Jobs;
  readonly #admission: Admission;
  readonly #columns: StepColumns;
  readonly #runner: StepRunner;
  /** Where others compute, too. */
  readonly #underWay: StepsUnderWay | undefined;
  /** When the last step ended, where there was work ever since. */
  #busySince: number | undefined;

  constructor(model: Model, options: EngineOptions = {}) {
    const {
      weights = new Map(),
      metrics = new EngineMetrics(),
      spill,
      now = () => performance.now(),
      cyclesPerMs,
      microBatches = 1,
      isMirrored = model.range.from > 0,
      ...limits
    } = options;
    checkStage(model, isMirrored, options);
    this.#model = model;
    this.#metrics = metrics;
    this.#now = now;
    this.#pace = new Pace(
      cyclesPerMs === undefined || model.coreCycles(1) === 0 ? undefined : 1 / cyclesPerMs,
    );
    const clients = new ClientAccounts(weights);
    const jobs = new Jobs({ metrics, clients, pace: this.#pace, now });
    const planner = new Planner({
      model,
      jobs,
      clients,
      limits: { ...DEFAULT_LIMITS, ...limits },
      microBatches,
    });
    this.#jobs = jobs;
    this.#admission = new Admission({ model, jobs, planner, pace: this.#pace });
    this.#columns = new StepColumns({ model, jobs, planner, metrics, spill });
    this.#runner = new StepRunner({ model, jobs, planner, clients, metrics, now });
    this.#underWay = isMirrored ? new StepsUnderWay(model) : undefined;
  }

  /** Generations, scores, and prompts to be pinned, that have not ended. */
  get count(): number {
    return this.#jobs.count;
  }

  /** Every generation that has not ended, in the order of arrival. */
  status(): JobStatus[] {
    const now = this.#now();
    return this.#jobs.all.map((job) => job.status(now));
  }

  /**
   * Whether a step would do anything: a generation whose client reads nothing waits, until its deadline, and one that has columns in
   * a step under way until that is complete.
   */
  get hasWork(): boolean {
    return this.#jobs.hasWork(this.#now());
  }

  /**
   * What `submit` would have to do first, with pauses for other work: what it gives is for one request.
   * @throws PynqLlmError as `submit`
   */
  *prepare(request: GenerateRequest): Pausable<GenerationState | undefined> {
    return request.beams === undefined ? yield* replay(this.#model, request) : undefined;
  }

  /**
   * Queues a request. Where too many wait, the last one of the client with the most is refused, which may be another one.
   * @param prepared what `prepare` gave for it; without it tokens to go on after are taken in without a pause
   * @throws PynqLlmError LLM_OVERLOADED, LLM_PREDICTED_LATE, LLM_PROMPT_EMPTY, LLM_PROMPT_TOO_LONG, LLM_TOKEN_RANGE,
   *   LLM_REQUEST_INVALID, LLM_SAMPLING_PARAMETER, LLM_CONTINUE_ENDED, LLM_CONTINUE_FORBIDDEN
   */
  submit(
    request: GenerateRequest,
    sink: TokenSink,
    service: ServiceOptions = {},
    prepared?: GenerationState,
  ): EngineGeneration {
    const now = this.#now();
    const sequence =
      request.beams === undefined
        ? new Sequence(this.#model, request, now, this.#metrics, prepared)
        : new BeamSequence(this.#model, request, request.beams, now);
    return generationOf(sequence, this.#enter(sequence, sink, service, now));
  }

  /**
   * Keeps the complete pages of a prompt in memory until the pin is released. What the pool lacks of them is computed as a
   * request among others, which generates nothing.
   * @throws PynqLlmError LLM_KV_PINNED, LLM_OVERLOADED, LLM_PROMPT_EMPTY, LLM_PROMPT_TOO_LONG, LLM_TOKEN_RANGE,
   *   LLM_REQUEST_INVALID, LLM_KV_MEMORY
   */
  pin(prompt: readonly number[], sink: PrefillSink<KvPin>, service: ServiceOptions = {}): EnginePrefill {
    const now = this.#now();
    return this.#prefill(new PrefixSequence(this.#model, prompt, now), sink, service, now);
  }

  /**
   * How likely given tokens are, each after those before it.
   * @throws PynqLlmError LLM_OVERLOADED, LLM_PROMPT_EMPTY, LLM_PROMPT_TOO_LONG, LLM_TOKEN_RANGE, LLM_REQUEST_INVALID,
   *   LLM_KV_TOO_LONG, LLM_KV_MEMORY
   */
  score(
    tokens: readonly number[],
    options: ScoreOptions,
    sink: PrefillSink<Scores>,
    service: ServiceOptions = {},
  ): EnginePrefill {
    const now = this.#now();
    return this.#prefill(new ScoreSequence(this.#model, tokens, options, now), sink, service, now);
  }

  #prefill<T>(
    sequence: PrefillSequence<T>,
    sink: PrefillSink<T>,
    service: ServiceOptions,
    now: number,
  ): EnginePrefill {
    return prefill(sequence, sink, (tokens) => this.#enter(sequence, tokens, service, now));
  }

  /**
   * @returns what cancels it
   * @throws PynqLlmError LLM_OVERLOADED, LLM_PREDICTED_LATE, LLM_REQUEST_INVALID
   */
  #enter(sequence: EngineSequence, sink: TokenSink, service: ServiceOptions, now: number): () => void {
    const job = this.#admission.enter(sequence, sink, service, now);
    return () => this.#jobs.cancel(job);
  }

  /**
   * Computes one step. Where the device fails it is tried once more, which gives the same bits; a second failure ends the
   * generations that took part in it, and the next step works again.
   */
  step(): void {
    const step = this.#decide();
    if (step !== undefined) this.#complete(step, undefined);
  }

  /**
   * Begins a step of a model whose other layers are elsewhere, or is told of it. Several may be under way: who has columns in one
   * keeps its memory and gets no further ones, but for pieces of its prompt, until it is complete.
   * @returns what the others have to compute, in order; nothing where there is nothing to do until a step that is under way is
   *   complete, or a request comes
   * @throws PynqLlmError LLM_STAGE_UNSUPPORTED where nothing else computes
   */
  begin(): StageBatch | undefined {
    const underWay = this.#othersStepsUnderWay;
    const step = this.#decide();
    return step && underWay.add(step);
  }

  /**
   * Completes the step that began first: the last layers, samples, and what is complete of keys and values. Where the device fails
   * twice its generations end as in {@link step}, and the plan goes on.
   * @param number of its batch
   * @param hidden what the layers before left: embedding values a column; nothing where the first layer is here
   * @throws PynqLlmError LLM_STAGE_BATCH, after which the plan is lost
   */
  complete(number: number, hidden?: Float32Array): void {
    this.#complete(this.#othersStepsUnderWay.take(number, hidden), hidden);
  }

  /**
   * Ends all that has not ended, since other layers are lost: what was cancelled as that, and the rest with the error, which has what each had generated, for somebody to
   * go on after. Nothing is kept of keys and values, pins neither; the next batch is 0, for stages that were reset.
   */
  abort(error: PynqLlmError): void {
    for (const job of this.#jobs.all) this.#jobs.lose(job, error);
    this.#model.kvPool.forget();
    this.#underWay?.reset();
    this.#busySince = undefined;
  }

  get #othersStepsUnderWay(): StepsUnderWay {
    if (this.#underWay !== undefined) return this.#underWay;
    throw new PynqLlmError(
      'LLM_STAGE_UNSUPPORTED',
      'All layers are here, and nobody follows: a step is computed as a whole.',
    );
  }

  /** Decides a step, and takes the columns of those who have a part in it. */
  #decide(): Step | undefined {
    const now = this.#now();
    this.#jobs.endCancelled();
    this.#jobs.endLate(now);
    const { columns, shares } = this.#columns.take(now);
    const since = this.#busySince ?? now;
    if (columns.length > 0) return { columns, shares, since };
    for (const job of shares.keys()) job.stepsUnderWay--;
    if (!this.#underWay?.count) this.#busySince = undefined;
    return undefined;
  }

  #complete(step: Step, hidden: Float32Array | undefined): void {
    const from = this.#busySince ?? step.since;
    this.#busySince = undefined;
    if (!this.#runner.run(step, hidden)) return;
    const ended = this.#now();
    // What others did meanwhile, the device's other models say, belongs to how long one waits.
    this.#pace.step(ended - from, columnCost(this.#model, step.columns.length));
    this.#busySince = this.#underWay?.count || this.hasWork ? ended : undefined;
  }
}
