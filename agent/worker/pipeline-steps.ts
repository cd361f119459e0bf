import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { Engine, StageBatch } from '../../llm/index.js';

interface Arrived {
  readonly number: number;
  readonly hidden: Float32Array;
}

/** What becomes of batches. */
export interface PipelineEvents {
  readonly onBatch: (plan: number, batch: StageBatch) => void;
  /** One that came back cannot be completed: the plan is lost. */
  readonly onFailed: (plan: number, number: number, error: PynqLlmError) => void;
}

/**
 * Steps of an engine that has the last layers of a model alone: batches begin here, go through the other stages, and are completed
 * here in the order in which they began, as many of them under way as there are stages.
 */
export class PipelineSteps {
  readonly #engine: Engine;
  readonly #stages: number;
  readonly #onBatch: (plan: number, batch: StageBatch) => void;
  readonly #onFailed: (plan: number, number: number, error: PynqLlmError) => void;
  #plan: number | undefined;
  /** Why there is no plan. */
  #lost = new PynqLlmError('FLEET_STAGE_LOST', 'The boards with the first layers are not there yet.');
  #inFlight = 0;
  readonly #arrived: Arrived[] = [];
  /** Nothing could begin: what there is waits for batches under way, or for somebody to say something. */
  #isStuck = false;

  constructor(engine: Engine, stages: number, { onBatch, onFailed }: PipelineEvents) {
    this.#engine = engine;
    this.#stages = stages;
    this.#onBatch = onBatch;
    this.#onFailed = onFailed;
  }

  /** Of another plan, which nobody has ended, nothing goes on: its batches are none of this one. */
  begin(plan: number): void {
    if (this.#plan !== undefined)
      this.abort(new PynqLlmError('FLEET_STAGE_LOST', `Plan ${plan} began instead of plan ${this.#plan}.`));
    this.#plan = plan;
    this.#isStuck = false;
  }

  /** What is there ends with the error. */
  end(plan: number, error: PynqLlmError): void {
    if (plan === this.#plan) this.abort(error);
  }

  abort(error: PynqLlmError): void {
    this.#plan = undefined;
    this.#lost = error;
    this.#inFlight = 0;
    this.#arrived.length = 0;
    this.#engine.abort(error);
  }

  arrive(plan: number, arrived: Arrived): void {
    if (plan === this.#plan) this.#arrived.push(arrived);
  }

  /** Something may have changed: it is worth looking whether anything can begin. */
  nudge(): void {
    this.#isStuck = false;
  }

  get hasWork(): boolean {
    // Without a plan nobody is to wait.
    if (this.#plan === undefined) return this.#engine.count > 0;
    if (this.#arrived.length > 0) return true;
    return this.#inFlight < this.#stages && !this.#isStuck && this.#engine.hasWork;
  }

  /** Completes a batch that has come back, and begins others. */
  step(): void {
    const plan = this.#plan;
    if (plan === undefined) {
      this.#engine.abort(this.#lost);
      return;
    }
    const arrived = this.#arrived.shift();
    if (arrived !== undefined) {
      try {
        this.#engine.complete(arrived.number, arrived.hidden);
      } catch (error) {
        if (!isPynqLlmError(error)) throw error;
        this.#onFailed(plan, arrived.number, error);
        this.abort(error);
        return;
      }
      this.#inFlight--;
      this.#isStuck = false;
    }
    while (this.#inFlight < this.#stages && !this.#isStuck) {
      const batch = this.#engine.begin();
      if (batch === undefined) this.#isStuck = true;
      else {
        this.#inFlight++;
        this.#onBatch(plan, batch);
      }
    }
  }
}
