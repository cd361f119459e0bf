import { PynqLlmError } from '../../errors/index.js';
import type { Column } from '../model/column.js';
import type { Model } from '../model/model.js';
import { CacheRecorder, type StageBatch } from '../stages/index.js';
import type { Job } from './job.js';

/** What a job has of a step. */
export interface JobShare {
  /** Its first column, and how many it has. */
  readonly first: number;
  readonly columns: number;
  /** Tokens of it that are computed then, where it has one cache. */
  readonly computed: number;
}

/** A step that was decided. */
export interface Step {
  /** Their places are made. */
  readonly columns: readonly Column[];
  readonly shares: ReadonlyMap<Job, JobShare>;
  /** When it began, where nothing was under way. */
  readonly since: number;
}

/** Steps of which others compute a part, in the order of their numbers, and what those others are told. */
export class StepsUnderWay {
  readonly #model: Model;
  readonly #recorder = new CacheRecorder();
  readonly #steps: (Step & { readonly number: number })[] = [];
  #nextNumber = 0;

  /**
   * Those who follow begin with nothing.
   * @throws PynqLlmError LLM_STAGE_UNSUPPORTED where somebody else has pages of keys and values
   */
  constructor(model: Model) {
    this.#model = model;
    const { kvPool } = model;
    kvPool.forget();
    model.record(this.#recorder);
    const { freeFrames, frames } = kvPool.memory;
    if (freeFrames === frames) return;
    throw new PynqLlmError(
      'LLM_STAGE_UNSUPPORTED',
      `${frames - freeFrames} frames of keys and values are held by others: abort the engine that had the model before.`,
      { context: { frames, freeFrames } },
    );
  }

  get count(): number {
    return this.#steps.length;
  }

  /** @returns what the others have to compute */
  add(step: Step): StageBatch {
    const number = this.#nextNumber++;
    this.#steps.push({ ...step, number });
    return {
      number,
      changes: this.#recorder.take(),
      columns: step.columns.map(({ cache, token, position, logits }) => ({
        cache: this.#recorder.numberOf(cache),
        token,
        position,
        wantsLogits: logits !== undefined,
      })),
      freeFrames: this.#model.kvPool.memory.freeFrames,
    };
  }

  /**
   * The step that began first, which is not under way any more.
   * @param hidden what others left of it
   * @throws PynqLlmError LLM_STAGE_BATCH where it is another one, or that is not what it needs
   */
  take(number: number, hidden: Float32Array | undefined): Step {
    const [step] = this.#steps;
    if (step?.number !== number)
      throw new PynqLlmError(
        'LLM_STAGE_BATCH',
        `Micro-batch ${number} came; ${step === undefined ? 'none is' : `${step.number} is the next one`} under way.`,
        { context: { number, expected: step?.number ?? -1 } },
      );
    this.#model.checkHidden(step.columns.length, hidden);
    this.#steps.shift();
    return step;
  }

  /** Forgets all: the next one is 0. */
  reset(): void {
    this.#steps.length = 0;
    this.#recorder.take();
    this.#nextNumber = 0;
  }
}
