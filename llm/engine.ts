import { isPynqLlmError, PynqLlmError } from '../errors/index.js';
import type { Column } from './column.js';
import { addCost } from './cost.js';
import type { Model } from './model.js';
import {
  type FinishReason,
  type GenerateRequest,
  type GenerationResult,
  Sequence,
  type TokenOutput,
} from './sequence.js';
import { stepColumns } from './step-size.js';

/** Takes what a generation yields: tokens, then one of the other two. Called inside `step`, `submit` never calls it. */
export interface TokenSink {
  onToken(token: TokenOutput): void;
  onDone(result: GenerationResult): void;
  onError(error: PynqLlmError): void;
}

/** A generation under way. */
export interface EngineGeneration {
  /** Tokens numbered below `limit` may be generated: back-pressure. A smaller limit than before changes nothing. */
  grant(limit: number): void;
  /** Ends it before the next step, with the reason `cancelled`. Harmless when it has ended. */
  cancel(): void;
}

export interface EngineOptions {
  /** Sequences that generate at a time. */
  readonly maxSequences?: number;
  /** Requests that may wait for a place. */
  readonly maxQueued?: number;
  /** Milliseconds, for the timings. */
  readonly now?: () => number;
}

interface Running {
  readonly sequence: Sequence;
  readonly sink: TokenSink;
}

const MAX_SEQUENCES = 8;
const MAX_QUEUED = 64;
/** So many times `maxSequences` are in memory at most, those included whose clients read nothing. */
const STALLED_FACTOR = 4;

/**
 * Generates for several requests at a time: a step takes one token of every sequence that generates and, in the room that is left,
 * pieces of waiting prompts, oldest first. What a sequence gets does not depend on the others, to the bit.
 */
export class Engine {
  readonly #model: Model;
  readonly #options: Required<EngineOptions>;
  #queued: Running[] = [];
  #running: Running[] = [];
  readonly #cancelled = new Set<Running>();

  constructor(model: Model, options: EngineOptions = {}) {
    this.#model = model;
    this.#options = {
      maxSequences: options.maxSequences ?? MAX_SEQUENCES,
      maxQueued: options.maxQueued ?? MAX_QUEUED,
      now: options.now ?? (() => performance.now()),
    };
  }

  /** Generations that have not ended. */
  get count(): number {
    return this.#queued.length + this.#running.length;
  }

  /** Whether a step would do anything: a generation whose client reads nothing waits. */
  get hasWork(): boolean {
    if (this.#cancelled.size > 0) return true;
    const able = ({ sequence }: Running) => sequence.mayGenerate;
    return (this.#hasPlace && this.#queued.some(able)) || this.#running.some(able);
  }

  /**
   * Queues a request.
   * @throws PynqLlmError LLM_QUEUE_FULL, LLM_PROMPT_EMPTY, LLM_PROMPT_TOO_LONG, LLM_TOKEN_RANGE, LLM_REQUEST_INVALID,
   *   LLM_SAMPLING_PARAMETER
   */
  submit(request: GenerateRequest, sink: TokenSink): EngineGeneration {
    if (this.#queued.length >= this.#options.maxQueued)
      throw new PynqLlmError('LLM_QUEUE_FULL', `${this.#queued.length} requests are waiting already.`);
    const running = {
      sequence: new Sequence(this.#model, request, this.#options.now()),
      sink,
    };
    this.#queued.push(running);
    return {
      grant: (limit) => {
        running.sequence.limit = Math.max(running.sequence.limit, limit);
      },
      cancel: () => {
        if (this.#queued.includes(running) || this.#running.includes(running)) this.#cancelled.add(running);
      },
    };
  }

  /** Computes one step. A fault of the device ends the generations that took part in it; the next step works again. */
  step(): void {
    this.#dropCancelled();
    this.#admit();
    const { columns, shares } = this.#pack();
    if (columns.length === 0) return;
    const before = this.#model.cost();
    try {
      this.#model.forward(columns);
    } catch (error) {
      if (!isPynqLlmError(error)) throw error;
      for (const running of shares.keys()) this.#fail(running, error);
      return;
    }
    const after = this.#model.cost();
    for (const [{ sequence }, share] of shares) addCost(sequence.cost, before, after, share / columns.length);
    for (const running of shares.keys()) if (running.sequence.promptLeft === 0) this.#sample(running);
  }

  /** Sequences whose clients read nothing take no place from those that could go on; only their number is bounded. */
  get #hasPlace(): boolean {
    const { maxSequences } = this.#options;
    if (this.#running.length >= maxSequences * STALLED_FACTOR) return false;
    return this.#running.filter(({ sequence }) => sequence.mayGenerate).length < maxSequences;
  }

  /** Lets queued requests begin, oldest first. */
  #admit(): void {
    while (this.#hasPlace) {
      const next = this.#queued.findIndex(({ sequence }) => sequence.mayGenerate);
      if (next < 0) return;
      this.#running.push(...this.#queued.splice(next, 1));
    }
  }

  /**
   * The step's columns, and how many of them each sequence has: one each, as far as they go round, and what is left to the
   * prompts. Who had none comes first in the next step.
   */
  #pack(): { columns: Column[]; shares: Map<Running, number> } {
    const columns: Column[] = [];
    const shares = new Map<Running, number>();
    const now = this.#options.now();
    const able = this.#running.filter(({ sequence }) => sequence.mayGenerate);
    const generating = able.filter(({ sequence }) => sequence.generates).length;
    const most = stepColumns(this.#model.maxColumns, generating, (n) => this.#model.coreCycles(n));
    const taking = able.slice(0, most);
    let spare = most - taking.length;
    for (const running of taking) {
      const taken = this.#columnsOf(running, 1 + spare, now);
      if (taken === undefined) continue;
      spare -= taken.length - 1;
      columns.push(...taken);
      shares.set(running, taken.length);
    }
    this.#running = [...this.#running.filter((running) => !shares.has(running)), ...shares.keys()];
    return { columns, shares };
  }

  /** Nothing where there is no memory for the sequence's cache, which ends it. */
  #columnsOf(running: Running, most: number, now: number): Column[] | undefined {
    try {
      return running.sequence.columns(most, now);
    } catch (error) {
      if (!isPynqLlmError(error)) throw error;
      this.#fail(running, error);
      return undefined;
    }
  }

  #sample(running: Running): void {
    const { sequence, sink } = running;
    const now = this.#options.now();
    try {
      for (const { token, finish } of sequence.samples(now)) {
        sink.onToken(token);
        if (finish !== undefined) this.#finish(running, finish);
      }
    } catch (error) {
      if (!isPynqLlmError(error)) throw error;
      this.#fail(running, error);
    }
  }

  #dropCancelled(): void {
    for (const running of this.#cancelled) this.#finish(running, 'cancelled');
    this.#cancelled.clear();
  }

  #finish(running: Running, reason: FinishReason): void {
    this.#remove(running);
    running.sink.onDone(running.sequence.finish(reason, this.#options.now()));
  }

  #fail(running: Running, error: PynqLlmError): void {
    this.#remove(running);
    running.sink.onError(error);
  }

  #remove(running: Running): void {
    this.#queued = this.#queued.filter((one) => one !== running);
    this.#running = this.#running.filter((one) => one !== running);
    running.sequence.releaseCache();
  }
}
