import { PynqLlmError } from '../../errors/index.js';
import {
  type ClientPath,
  DEFAULT_PRIORITY,
  type EngineMetrics,
  MAX_PRIORITY,
  type SequenceView,
  type ServiceClass,
} from '../scheduling/index.js';
import type { EngineSequence, GenerationResult, TokenOutput } from './request.js';

/** Takes what a generation yields: tokens, then one of the other two. Called inside `step`, `submit` never calls it for its own request. */
export interface TokenSink {
  onToken(token: TokenOutput): void;
  onDone(result: GenerationResult): void;
  onError(error: PynqLlmError): void;
}

/** How a request wants to be served; docs/scheduling.md has the meaning of each. */
export interface ServiceOptions {
  /** `interactive` unless given. */
  readonly class?: ServiceClass | undefined;
  /** 0 to 9, within the class; 5 unless given. */
  readonly priority?: number | undefined;
  /** Who shares the board fairly with others; everybody without a name is one client. */
  readonly client?: ClientPath | undefined;
  /** Milliseconds from now after which the rest is of no use; without end unless given. */
  readonly deadlineMs?: number | undefined;
  /** The request is refused where it is likely to end later than so many milliseconds from now; whatever it takes unless given. */
  readonly maxPredictedMs?: number | undefined;
  /** The trace that it is part of, as W3C Trace Context writes it: its status tells it. */
  readonly traceparent?: string | undefined;
}

/** How far a request is. */
export interface JobStatus extends Pick<SequenceView, 'class' | 'priority' | 'state' | 'left' | 'pages'> {
  /** Whether its client gave credit for a token. */
  readonly hasCredit: boolean;
  /** Milliseconds since it came. */
  readonly ageMs: number;
  readonly promptTokens: number;
  readonly generated: number;
  /** Id of the trace that it is part of. */
  readonly trace?: string;
}

/** A request in the engine: its sequence, whom it is for, and when it was served. */
export class Job {
  readonly class: ServiceClass;
  readonly client: ClientPath;
  readonly deadlineMs: number | undefined;
  state: 'waiting' | 'running' = 'waiting';
  /** Steps under way in which it has columns. */
  stepsUnderWay = 0;
  readonly #priority: number;
  readonly #trace: string | undefined;
  #servedAt: number;
  #lastTokenAt: number | undefined;

  /** @throws PynqLlmError LLM_REQUEST_INVALID */
  constructor(
    readonly id: number,
    readonly sequence: EngineSequence,
    readonly sink: TokenSink,
    service: ServiceOptions,
    readonly arrivedAt: number,
  ) {
    const { priority = DEFAULT_PRIORITY, deadlineMs, maxPredictedMs } = service;
    if (!Number.isInteger(priority) || priority < 0 || priority > MAX_PRIORITY)
      throw invalid(`priority is ${priority}; it has to be a whole number from 0 to ${MAX_PRIORITY}.`);
    for (const [name, ms] of Object.entries({ deadlineMs, maxPredictedMs }))
      if (ms !== undefined && !(ms > 0)) throw invalid(`${name} is ${ms}; it has to be above 0.`);
    this.class = service.class ?? 'interactive';
    this.client = service.client ?? [];
    this.deadlineMs = deadlineMs;
    this.#priority = priority;
    this.#trace = service.traceparent?.split('-')[1];
    this.#servedAt = arrivedAt;
  }

  get hasBegun(): boolean {
    return this.sequence.startedAt !== undefined;
  }

  get #deadlineAt(): number | undefined {
    return this.deadlineMs && this.arrivedAt + this.deadlineMs;
  }

  /** Whether it can have columns in a further step: it does not wait for one that is under way. */
  get isAble(): boolean {
    return this.stepsUnderWay === 0 || this.sequence.goesOn;
  }

  /** Whether its deadline has passed. */
  isLate(now: number): boolean {
    return this.#deadlineAt !== undefined && now >= this.#deadlineAt;
  }

  /** What the policy sees. */
  view(): SequenceView {
    const { sequence } = this;
    const isUnderWay = this.stepsUnderWay > 0;
    const { found, page } = isUnderWay ? { ...sequence.prospect, found: 0 } : sequence.prospect;
    return {
      id: this.id,
      class: this.class,
      priority: this.#priority,
      client: this.client,
      arrivedAt: this.arrivedAt,
      servedAt: this.#servedAt,
      deadlineAt: this.#deadlineAt,
      state: this.state,
      begun: this.hasBegun,
      hasCredit: sequence.hasCredit,
      left: sequence.left - found,
      generates: sequence.generates,
      found,
      page,
      drafts: isUnderWay ? 0 : sequence.drafts,
      ...sequence.memory,
      ...(isUnderWay && { underWay: this.isAble ? 'goes on' : 'waits' }),
    };
  }

  status(now: number): JobStatus {
    const { promptTokens, generated } = this.sequence;
    const { class: served, priority, state, left, pages, hasCredit } = this.view();
    const ageMs = now - this.arrivedAt;
    const status = { class: served, priority, state, hasCredit, ageMs, promptTokens, generated, left, pages };
    return this.#trace === undefined ? status : { ...status, trace: this.#trace };
  }

  /** It has columns in the step that begins now. */
  serve(now: number, metrics: EngineMetrics): void {
    if (!this.hasBegun) metrics.classes[this.class].queueMs.observe(now - this.arrivedAt);
    this.#servedAt = now;
  }

  /** A token of it was sampled. */
  tell(token: TokenOutput, now: number, metrics: EngineMetrics): void {
    const { firstTokenMs, betweenTokensMs } = metrics.classes[this.class];
    if (this.#lastTokenAt === undefined) firstTokenMs.observe(now - this.arrivedAt);
    else betweenTokensMs.observe(now - this.#lastTokenAt);
    this.#lastTokenAt = now;
    this.sink.onToken(token);
  }

  /** Ends it with an error that has what was generated before: `context.tokens` of them, and their `context.text`. */
  fail(error: PynqLlmError, now: number): void {
    const { generated, said } = this.sequence;
    if (generated === 0) {
      this.sink.onError(error);
      return;
    }
    const text = said + this.sequence.finish('cancelled', now).text;
    const context = { ...error.context, tokens: generated, text };
    this.sink.onError(
      new PynqLlmError(error.code, error.what, { cause: error, remedy: error.remedy, context }),
    );
  }
}

function invalid(what: string): PynqLlmError {
  return new PynqLlmError('LLM_REQUEST_INVALID', what);
}
