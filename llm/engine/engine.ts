import type { Pausable } from '../../constraint/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { PAGE_TOKENS } from '../kv/layout.js';
import type { KvPin } from '../kv/pool.js';
import type { SpillFolder } from '../kv/spill-folder.js';
import type { Column } from '../model/column.js';
import { addCost } from '../model/cost.js';
import { computeAgain } from '../model/forward-again.js';
import type { Model } from '../model/model.js';
import {
  ClientAccounts,
  columnsThatPay,
  DEFAULT_LIMITS,
  EndRate,
  EngineMetrics,
  Pace,
  type Plan,
  predictEnd,
  type Refusal,
  refusals,
  type SchedulingLimits,
  type Snapshot,
  schedule,
  type Turn,
} from '../scheduling/index.js';
import type { StageBatch } from '../stages/index.js';
import { BeamSequence } from './beam-sequence.js';
import { type GenerationState, replay } from './generation-state.js';
import { Job, type JobStatus, type ServiceOptions, type TokenSink } from './job.js';
import type { PrefillSequence } from './prefill-sequence.js';
import { PrefixSequence } from './prefix-sequence.js';
import type { EngineSequence, FinishReason, GenerateRequest } from './request.js';
import { type ScoreOptions, ScoreSequence, type Scores } from './score-sequence.js';
import { Sequence } from './sequence.js';
import { type JobShare, type Step, StepsUnderWay } from './steps-under-way.js';

/** A generation under way. */
export interface EngineGeneration {
  /** Tokens numbered below `credit` may be generated: back-pressure. Less credit than before changes nothing. */
  grant(credit: number): void;
  /**
   * How far its prompt is, and the tokens that it goes on after, in tokens: those that were there already are among the
   * computed ones.
   */
  readonly prompt: { readonly total: number; readonly cached: number; readonly computed: number };
  /** Ends it before the next step, with the reason `cancelled`. Harmless when it has ended. */
  cancel(): void;
}

/** Takes what comes of given tokens: one of the three, once; inside of the call where nothing has to be computed. */
export interface PrefillSink<T> {
  onDone(result: T): void;
  onCancelled(): void;
  onError(error: PynqLlmError): void;
}

/** Given tokens that are being computed. */
export interface EnginePrefill {
  /** Tokens, and how many of them are computed. */
  readonly total: number;
  readonly done: number;
  /** Ends it before the next step. Harmless when it has ended. */
  cancel(): void;
}

export interface EngineOptions extends Partial<SchedulingLimits> {
  /** Parts of clients by any of their names, relative to those whom they divide something with; 1 unless given. */
  readonly weights?: ReadonlyMap<string, number> | undefined;
  /** Where times and counts are added up. */
  readonly metrics?: EngineMetrics | undefined;
  /** Where keys and values go of sequences that make room for others; computed again unless given. */
  readonly spill?: SpillFolder | undefined;
  /** Steps that are to be under way at a time, as many as there are stages: sequences are divided among them; 1 unless given. */
  readonly microBatches?: number | undefined;
  /**
   * Whether others compute each step too, on caches of their own that are to be the same: where layers are elsewhere they do, and
   * elsewhere not unless told.
   */
  readonly isMirrored?: boolean | undefined;
  /** Core cycles that the device takes in a millisecond; undefined where it does not keep to its clock. */
  readonly cyclesPerMs?: number | undefined;
  /** Milliseconds, for the timings. */
  readonly now?: () => number;
}

/**
 * Generates for several requests at a time. What a step has is decided by `schedule`; what a sequence gets does not
 * depend on the others or on the schedule, to the bit.
 */
export class Engine {
  readonly #model: Model;
  readonly #limits: SchedulingLimits;
  readonly #metrics: EngineMetrics;
  readonly #now: () => number;
  readonly #clients: ClientAccounts;
  readonly #spill: SpillFolder | undefined;
  /** In the order of their arrival. */
  readonly #jobs = new Map<number, Job>();
  readonly #cancelled = new Set<Job>();
  readonly #microBatches: number;
  /** Where others compute, too. */
  readonly #underWay: StepsUnderWay | undefined;
  #nextId = 0;
  readonly #rate = new EndRate();
  readonly #pace: Pace;
  /** When the last step ended, where there was work ever since. */
  #busySince: number | undefined;
  #turn: Turn | undefined;
  #lastTurnMs = 0;
  #batchServedAt = Number.NEGATIVE_INFINITY;
  #columnsSinceBatch = 0;
  /** Once the first step has asked for it. */
  #payingColumns: number | undefined;

  constructor(model: Model, options: EngineOptions = {}) {
    const {
      weights = new Map(),
      metrics = new EngineMetrics(),
      spill,
      now,
      cyclesPerMs,
      microBatches = 1,
      isMirrored = model.range.from > 0,
      ...limits
    } = options;
    checkStage(model, isMirrored, options);
    this.#model = model;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#metrics = metrics;
    this.#now = now ?? (() => performance.now());
    this.#clients = new ClientAccounts(weights);
    this.#spill = spill;
    this.#microBatches = microBatches;
    this.#underWay = isMirrored ? new StepsUnderWay(model) : undefined;
    this.#pace = new Pace(
      cyclesPerMs === undefined || model.coreCycles(1) === 0 ? undefined : 1 / cyclesPerMs,
    );
  }

  /** Generations, scores, and prompts to be pinned, that have not ended. */
  get count(): number {
    return this.#jobs.size;
  }

  /** Every generation that has not ended, in the order of arrival. */
  status(): JobStatus[] {
    const now = this.#now();
    return [...this.#jobs.values()].map((job) => job.status(now));
  }

  /**
   * Whether a step would do anything: a generation whose client reads nothing waits, until its deadline, and one that has columns in
   * a step under way until that is complete.
   */
  get hasWork(): boolean {
    const now = this.#now();
    for (const job of this.#jobs.values()) {
      const isEnding = this.#cancelled.has(job) || job.isLate(now);
      if (isEnding ? job.stepsUnderWay === 0 : job.sequence.hasCredit && job.isAble) return true;
    }
    return false;
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
    const job = this.#enter(sequence, sink, service, now);
    return {
      get prompt() {
        const { promptTokens, replayedTokens, cachedTokens, left, generated, startedAt } = sequence;
        const total = promptTokens + replayedTokens;
        // What will be found is there already.
        const found = startedAt === undefined ? sequence.prospect.found : 0;
        const computed = generated > replayedTokens ? total : Math.max(0, total - left) + found;
        return { total, cached: cachedTokens + found, computed };
      },
      grant: (credit) => {
        sequence.credit = Math.max(sequence.credit, credit);
      },
      cancel: () => this.#cancel(job),
    };
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
    const total = sequence.promptTokens;
    const { result } = sequence;
    if (result !== undefined) {
      sink.onDone(result);
      return { total, done: total, cancel: () => undefined };
    }
    const onDone = () => {
      const { result } = sequence;
      if (result === undefined) sink.onCancelled();
      else sink.onDone(result);
    };
    const onError = (error: PynqLlmError) => sink.onError(error);
    const job = this.#enter(sequence, { onToken: () => undefined, onDone, onError }, service, now);
    return {
      total,
      get done() {
        return total - sequence.left;
      },
      cancel: () => this.#cancel(job),
    };
  }

  /** @throws PynqLlmError LLM_OVERLOADED, LLM_PREDICTED_LATE, LLM_REQUEST_INVALID */
  #enter(sequence: EngineSequence, sink: TokenSink, service: ServiceOptions, now: number): Job {
    const job = new Job(this.#nextId++, sequence, sink, service, now);
    this.#jobs.set(job.id, job);
    this.#clients.enter(job.client);
    this.#refuse(refusals(this.#snapshot(now)), job);
    if (service.maxPredictedMs !== undefined) this.#refuseLate(job, service.maxPredictedMs, now);
    return job;
  }

  /** @throws PynqLlmError LLM_PREDICTED_LATE where the request is likely to end later than that */
  #refuseLate(job: Job, maxPredictedMs: number, now: number): void {
    const predictedMs = this.#predict(job, [...this.#jobs.values()], now);
    if (predictedMs === undefined || predictedMs <= maxPredictedMs) return;
    const aloneMs = this.#predict(job, [job], now) ?? predictedMs;
    this.#metrics.classes[job.class].refused++;
    this.#remove(job);
    const seconds = (ms: number) => Math.round(ms / 100) / 10;
    throw new PynqLlmError(
      'LLM_PREDICTED_LATE',
      `The answer is likely to take ${seconds(predictedMs)} s, ${seconds(predictedMs - aloneMs)} s of them because others are before it (${this.#jobs.size}), and may take ${seconds(maxPredictedMs)} s.`,
      {
        context: {
          predictedMs: Math.round(predictedMs),
          aloneMs: Math.round(aloneMs),
          maxPredictedMs,
          others: this.#jobs.size,
          retryAfterMs: Math.max(1_000, Math.round(predictedMs - aloneMs)),
        },
      },
    );
  }

  /** Milliseconds until a request is likely to end, as the last one of some; undefined while nothing is known of this board. */
  #predict({ id }: Job, jobs: readonly Job[], now: number): number | undefined {
    if (this.#pace.msOf(this.#costOf(1)) === undefined) return undefined;
    const ahead = (which: number) => {
      const { mostTokens, width, mayEnd } = this.#job(which).sequence;
      return { tokens: mayEnd ? this.#pace.lengthOf(mostTokens) : mostTokens, width };
    };
    const snapshot = { ...this.#snapshot(now), sequences: jobs.map((job) => job.view()) };
    return predictEnd(snapshot, id, ahead, (columns) => this.#pace.msOf(this.#costOf(columns)) ?? 0);
  }

  /** Of a step: its core cycles, or its columns where the core has no part in it. */
  #costOf(columns: number): number {
    const most = this.#model.maxColumns;
    const cycles = this.#model.coreCycles(Math.min(columns, most)) * Math.max(1, columns / most);
    return cycles === 0 ? columns : cycles;
  }

  #cancel(job: Job): void {
    if (this.#jobs.has(job.id)) this.#cancelled.add(job);
  }

  /**
   * Computes one step. Where the device fails it is tried once more, which gives the same bits; a second failure ends the
   * generations that took part in it, and the next step works again.
   */
  step(): void {
    const step = this.#schedule();
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
    const step = this.#schedule();
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
    for (const job of [...this.#jobs.values()]) this.#lose(job, error);
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
  #schedule(): Step | undefined {
    const now = this.#now();
    this.#dropCancelled();
    this.#dropLate(now);
    const plan = schedule(this.#snapshot(now));
    this.#turn = plan.turn;
    this.#lastTurnMs = plan.lastTurnMs ?? 0;
    this.#refuse(plan.refused);
    for (const id of plan.preempted) this.#preempt(this.#job(id));
    for (const id of plan.admitted) this.#begin(this.#job(id), now);
    this.#rate.wait(
      [...this.#jobs.values()].some((job) => job.state === 'waiting' && job.sequence.hasCredit),
    );
    const { columns, shares } = this.#columnsOf(plan, now);
    const since = this.#busySince ?? now;
    if (columns.length > 0) return { columns, shares, since };
    for (const job of shares.keys()) job.stepsUnderWay--;
    if (!this.#underWay?.count) this.#busySince = undefined;
    return undefined;
  }

  #complete({ columns, shares, since }: Step, hidden: Float32Array | undefined): void {
    const before = this.#model.cost();
    const from = this.#busySince ?? since;
    this.#busySince = undefined;
    for (const job of shares.keys()) job.stepsUnderWay--;
    try {
      this.#compute(columns, shares, hidden);
    } catch (error) {
      if (!isPynqLlmError(error)) {
        for (const { cache, position } of columns) cache.truncate(position);
        throw error;
      }
      for (const job of shares.keys()) if (this.#jobs.has(job.id)) this.#lose(job, error);
      return;
    }
    this.#bill(columns.length, shares, before);
    this.#dropCancelled();
    for (const [job, { computed }] of shares) {
      if (!this.#jobs.has(job.id)) continue;
      if (job.stepsUnderWay > 0) {
        job.sequence.settle(computed);
        continue;
      }
      if (job.sequence.left === 0) this.#sample(job);
      if (this.#jobs.has(job.id)) job.sequence.settle();
    }
    const ended = this.#now();
    // What others did meanwhile, the device's other models say, belongs to how long one waits.
    this.#pace.step(ended - from, this.#costOf(columns.length));
    this.#busySince = this.#underWay?.count || this.hasWork ? ended : undefined;
  }

  /** Computes the columns of those that have not ended meanwhile: of others the places are gone. */
  #compute(
    columns: readonly Column[],
    shares: ReadonlyMap<Job, JobShare>,
    hidden: Float32Array | undefined,
  ): void {
    const gone = [...shares].filter(([job]) => !this.#jobs.has(job.id)).map(([, share]) => share);
    const isKept = (at: number) => !gone.some(({ first, columns: n }) => at >= first && at < first + n);
    const kept = gone.length === 0 ? columns : columns.filter((_, at) => isKept(at));
    if (kept.length === 0) return;
    const { embedding } = this.#model.config;
    const rows = (all: Float32Array) => all.filter((_, value) => isKept(Math.floor(value / embedding)));
    computeAgain(this.#model, kept, gone.length === 0 ? hidden : hidden && rows(hidden), this.#metrics);
  }

  #snapshot(now: number): Snapshot {
    const model = this.#model;
    const cycles = (columns: number, logits?: number) => model.coreCycles(columns, logits);
    this.#payingColumns ??= columnsThatPay(model.maxColumns, PAGE_TOKENS, cycles);
    return {
      now,
      limits: this.#limits,
      maxColumns: model.maxColumns,
      stepsUnderWay: this.#microBatches,
      payingColumns: this.#payingColumns,
      cycles,
      freePages: model.kvPool.freePages,
      pageTokens: PAGE_TOKENS,
      windowed: model.kvPool.memory.layout.windowed,
      // Who is to end waits for its steps under way, and has no further ones.
      sequences: [...this.#jobs.values()].map((job) => {
        const view = job.view();
        const isEnding = job.stepsUnderWay > 0 && (this.#cancelled.has(job) || job.isLate(now));
        return isEnding ? { ...view, underWay: 'waits' } : view;
      }),
      clients: this.#clients.all,
      columnsSinceBatch: this.#columnsSinceBatch,
      batchServedAt: this.#batchServedAt,
      turn: this.#turn,
      lastTurnMs: this.#lastTurnMs,
      msPerRequest: this.#rate.msPerRequest,
    };
  }

  get #running(): Job[] {
    return [...this.#jobs.values()].filter(({ state }) => state === 'running');
  }

  #job(id: number): Job {
    const job = this.#jobs.get(id);
    if (job === undefined) throw new Error('a plan is about sequences of its snapshot');
    return job;
  }

  /** @throws PynqLlmError LLM_OVERLOADED for the request that is being submitted */
  #refuse(refused: readonly Refusal[], submitted?: Job): void {
    for (const { id, retryAfterMs } of refused) {
      const job = this.#job(id);
      this.#metrics.classes[job.class].refused++;
      const error = new PynqLlmError(
        'LLM_OVERLOADED',
        `${this.#jobs.size - 1} other requests are being served or wait, ${this.#countOf(job) - 1} of them for the same client, and this ${job.class} one comes last or would take too long.`,
        { context: { retryAfterMs, class: job.class } },
      );
      this.#remove(job);
      if (job === submitted) throw error;
      job.sink.onError(error);
    }
  }

  /** Requests of those who share the board's part that the job's client has. */
  #countOf({ client: [share] }: Job): number {
    return [...this.#jobs.values()].filter(({ client }) => client[0] === share).length;
  }

  #begin(job: Job, now: number): void {
    job.state = 'running';
    this.#clients.begin(job.client, now);
  }

  /** Its cache is read back, or computed again, once it has its turn. */
  #preempt(job: Job): void {
    job.state = 'waiting';
    this.#metrics.classes[job.class].preempted++;
    this.#model.kvPool.countPreemption();
    job.sequence.makeRoom(this.#spill);
  }

  #columnsOf({ shares }: Plan, now: number): Pick<Step, 'columns' | 'shares'> {
    const columns: Column[] = [];
    const taking = new Map<Job, JobShare>();
    for (const { id, columns: most } of shares) {
      const job = this.#job(id);
      job.serve(now, this.#metrics);
      if (job.class === 'batch') this.#batchServedAt = now;
      try {
        const isUnderWay = job.stepsUnderWay > 0;
        const taken = job.sequence.columns(most, now, isUnderWay);
        this.#model.extend(taken);
        const computed = (taken.at(-1)?.position ?? -1) + 1;
        taking.set(job, { first: columns.length, columns: taken.length, computed });
        columns.push(...taken);
        job.stepsUnderWay++;
      } catch (error) {
        if (!isPynqLlmError(error)) throw error;
        if (error.code === 'LLM_KV_FULL' && job.stepsUnderWay > 0) continue;
        // Copies of shared pages may need more than was planned with; who is alone can wait for nobody.
        const waits = error.code === 'LLM_KV_FULL' && this.#running.length > 1;
        if (waits) this.#preempt(job);
        else this.#fail(job, error);
      }
    }
    return { columns, shares: taking };
  }

  #bill(total: number, shares: ReadonlyMap<Job, JobShare>, before: ReturnType<Model['cost']>): void {
    const after = this.#model.cost();
    const used = { interactive: 0, batch: 0 };
    for (const [{ sequence, client, class: served }, { columns: share }] of shares) {
      addCost(sequence.cost, before, after, share / total);
      this.#clients.charge(client, share);
      used[served] += share;
    }
    this.#columnsSinceBatch = used.batch > 0 ? 0 : this.#columnsSinceBatch + total;
    this.#metrics.step(used, this.#model.maxColumns);
  }

  #sample(job: Job): void {
    const now = this.#now();
    try {
      for (const { token, finish } of job.sequence.samples(now)) {
        if (token !== undefined) job.tell(token, now, this.#metrics);
        if (finish === undefined) continue;
        job.sequence.settle();
        this.#finish(job, finish);
      }
    } catch (error) {
      if (!isPynqLlmError(error)) throw error;
      this.#fail(job, error);
    }
  }

  #dropCancelled(): void {
    for (const job of [...this.#cancelled]) if (job.stepsUnderWay === 0) this.#finish(job, 'cancelled');
  }

  #dropLate(now: number): void {
    for (const job of [...this.#jobs.values()])
      if (job.stepsUnderWay === 0 && job.isLate(now))
        this.#fail(
          job,
          new PynqLlmError('LLM_DEADLINE', `The request was not done within its ${job.deadlineMs} ms.`),
        );
  }

  #finish(job: Job, reason: FinishReason): void {
    this.#metrics.classes[job.class][reason === 'cancelled' ? 'cancelled' : 'finished']++;
    if (reason !== 'cancelled' && job.sequence.mayEnd && job.sequence.generated > 0)
      this.#pace.end(job.sequence.generated, reason === 'end-of-text' || reason === 'stop');
    this.#remove(job);
    job.sink.onDone(job.sequence.finish(reason, this.#now()));
  }

  #fail(job: Job, error: PynqLlmError): void {
    this.#metrics.classes[job.class].failed++;
    this.#remove(job);
    job.fail(error, this.#now());
  }

  /** Who cancelled it while steps of it were under way does not want it to go on elsewhere. */
  #lose(job: Job, error: PynqLlmError): void {
    if (this.#cancelled.has(job)) this.#finish(job, 'cancelled');
    else this.#fail(job, error);
  }

  #remove(job: Job): void {
    this.#jobs.delete(job.id);
    this.#cancelled.delete(job);
    this.#clients.leave(job.client);
    job.sequence.releaseCache();
    if (job.hasBegun) this.#rate.end(this.#now());
  }
}

/** @throws PynqLlmError LLM_STAGE_RANGE, LLM_STAGE_UNSUPPORTED */
function checkStage(model: Model, isMirrored: boolean, { spill, microBatches = 1 }: EngineOptions): void {
  const { isLast, range, config } = model;
  if (!isLast)
    throw new PynqLlmError(
      'LLM_STAGE_RANGE',
      `An engine needs the last layers; here are the layers ${range.from} to ${range.to} of ${config.layers}.`,
      { context: { ...range, layers: config.layers } },
    );
  const problem =
    isMirrored && spill !== undefined
      ? 'keys and values that make room for others are computed again where several stages have them: --kv-spill cannot be used'
      : !Number.isInteger(microBatches) || microBatches < 1
        ? `${microBatches} steps were to be under way at a time; it has to be a whole number from 1`
        : undefined;
  if (problem !== undefined) throw new PynqLlmError('LLM_STAGE_UNSUPPORTED', `${problem}.`);
}
