import { PynqLlmError } from '../../errors/index.js';
import { computeAgain, type StepFaults } from '../model/forward-again.js';
import type { Model } from '../model/model.js';
import type { StageBatch } from './batch.js';
import { CacheMirror } from './mirror.js';

/** Layers of a model before the last ones: takes micro-batches of the stage that schedules through them, one after the other. */
export class Stage {
  /** Batches during which the device failed, and those of them that succeeded when they were tried again. */
  readonly faults: StepFaults = { faults: 0, recovered: 0 };
  readonly #model: Model;
  readonly #mirror: CacheMirror;
  /** The batch that comes next; none after an error, since caches are not those of the others then. */
  #next: number | undefined = 0;

  /** @throws PynqLlmError LLM_STAGE_RANGE where the model has the last layers */
  constructor(model: Model) {
    if (model.isLast) {
      const { from, to } = model.range;
      throw new PynqLlmError(
        'LLM_STAGE_RANGE',
        `The layers ${from} to ${to} are the last ones: an engine computes them.`,
        { context: { from, to } },
      );
    }
    this.#model = model;
    this.#mirror = new CacheMirror(model);
  }

  /**
   * Computes a batch; where the device fails it is tried once more, which gives the same bits. After an error the plan is lost, and
   * nothing is computed until a reset; a batch that is out of order, or has not its hidden states, changes nothing.
   * @param hidden what the layers before left, embedding values a column; nothing on the first stage
   * @returns what these layers leave: embedding values a column
   * @throws PynqLlmError LLM_STAGE_BATCH, LLM_STAGE_DIVERGED, LLM_MODEL_CLOSED, LLM_THREAD_LOST, DRIVER_*, GGUF_READ_FAILED
   */
  run(batch: StageBatch, hidden?: Float32Array): Float32Array {
    const { number } = batch;
    if (number !== this.#next)
      throw new PynqLlmError(
        'LLM_STAGE_BATCH',
        `Micro-batch ${number} came; ${this.#next ?? 'after an error none'} is the next one.`,
        { context: { number, expected: this.#next ?? -1 } },
      );
    this.#model.checkHidden(batch.columns.length, hidden);
    this.#next = undefined;
    const columns = this.#mirror.follow(batch);
    const left = computeAgain(this.#model, columns, hidden, this.faults)!;
    this.#next = number + 1;
    return left;
  }

  /** Forgets all caches: the plan has ended, and another one begins with batch 0. */
  reset(): void {
    this.#mirror.reset();
    this.#next = 0;
  }
}
