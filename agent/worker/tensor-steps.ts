import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { type Engine, type Lane, type StageBatch, stepTogether } from '../../llm/index.js';
import type { PipelineEvents } from './pipeline-steps.js';

/** Steps of an engine whose matrices are cut by rows: every other board is told of each batch, and computes it together with this one. */
export class TensorSteps {
  readonly #engine: Engine;
  readonly #lane: Lane;
  readonly #events: PipelineEvents;
  #plan: number | undefined;
  /** Why there is no plan. */
  #lost = new PynqLlmError('FLEET_STAGE_LOST', 'The boards with the other rows are not there yet.');
  /** Nothing could begin: what there is waits for somebody to say something. */
  #isStuck = false;

  constructor(engine: Engine, lane: Lane, events: PipelineEvents) {
    this.#engine = engine;
    this.#lane = lane;
    this.#events = events;
  }

  begin(plan: number): void {
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
    this.#engine.abort(error);
  }

  /** Boards that compute together have no hidden states for each other. */
  arrive(): void {}

  /** Something may have changed: it is worth looking whether anything can begin. */
  nudge(): void {
    this.#isStuck = false;
  }

  get hasWork(): boolean {
    // Without a plan nobody is to wait.
    if (this.#plan === undefined) return this.#engine.count > 0;
    return !this.#isStuck && this.#engine.hasWork;
  }

  step(): void {
    const plan = this.#plan;
    if (plan === undefined) {
      this.#engine.abort(this.#lost);
      return;
    }
    let number = 0;
    try {
      const tell = (batch: StageBatch) => {
        number = batch.number;
        this.#events.onBatch(plan, batch);
      };
      this.#isStuck = !stepTogether(this.#engine, this.#lane, tell);
      const { ended } = this.#lane;
      if (ended !== undefined) this.#fail(plan, number, ended);
    } catch (error) {
      if (!isPynqLlmError(error)) throw error;
      this.#lane.end();
      this.#fail(plan, number, error);
    }
  }

  #fail(plan: number, number: number, error: PynqLlmError): void {
    this.#events.onFailed(plan, number, error);
    this.abort(error);
  }
}
