import { isPynqLlmError } from '../../errors/index.js';
import { type Engine, type Lane, type StageBatch, stepTogether } from '../../llm/index.js';
import { type PlanEvents, PlanSteps } from './plan-steps.js';

/** Steps of an engine whose matrices are cut by rows: every other board is told of each batch, and computes it together with this one. */
export class TensorSteps extends PlanSteps {
  readonly #lane: Lane;

  constructor(engine: Engine, lane: Lane, events: PlanEvents) {
    super(engine, events, 'The boards with the other rows are not there yet.');
    this.#lane = lane;
  }

  /** Boards that compute together have no hidden states for each other. */
  protected override take(): void {}

  /** A step is over before the next one begins. */
  protected override forget(): void {}

  protected override get canStep(): boolean {
    return !this.isStuck && this.engine.hasWork;
  }

  protected override stepOf(plan: number): void {
    let number = 0;
    try {
      const tell = (batch: StageBatch) => {
        number = batch.number;
        this.events.onBatch(plan, batch);
      };
      this.isStuck = !stepTogether(this.engine, this.#lane, tell);
      const { ended } = this.#lane;
      if (ended !== undefined) this.fail(plan, number, ended);
    } catch (error) {
      if (!isPynqLlmError(error)) throw error;
      this.#lane.end();
      this.fail(plan, number, error);
    }
  }
}
