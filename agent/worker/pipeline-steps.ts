import { isPynqLlmError, type PynqLlmError } from '../../errors/index.js';
import type { Engine, Lane } from '../../llm/index.js';
import { type Arrived, type PlanEvents, PlanSteps } from './plan-steps.js';

/**
 * Steps of an engine that has the last layers of a model alone: batches begin here, go through the other stages, and are completed
 * here in the order in which they began, as many of them under way as there are stages. Where the last layers are on several boards by
 * rows, those complete a batch together.
 */
export class PipelineSteps extends PlanSteps {
  readonly #stages: number;
  readonly #lane: Lane | undefined;
  #inFlight = 0;
  readonly #arrived: Arrived[] = [];

  constructor(engine: Engine, stages: number, events: PlanEvents, lane?: Lane) {
    super(engine, events, 'The boards with the first layers are not there yet.');
    this.#stages = stages;
    this.#lane = lane;
  }

  protected override take(arrived: Arrived): void {
    this.#arrived.push(arrived);
  }

  protected override forget(): void {
    this.#inFlight = 0;
    this.#arrived.length = 0;
  }

  protected override get canStep(): boolean {
    return this.#arrived.length > 0 || (this.#mayBegin && this.engine.hasWork);
  }

  get #mayBegin(): boolean {
    return this.#inFlight < this.#stages && !this.isStuck;
  }

  /** Completes a batch that has come back, and begins others. */
  protected override stepOf(plan: number): void {
    const arrived = this.#arrived.shift();
    if (arrived !== undefined) {
      const error = this.#complete(plan, arrived);
      if (error !== undefined) {
        this.#lane?.end();
        this.fail(plan, arrived.number, error);
        return;
      }
      this.#inFlight--;
      this.isStuck = false;
    }
    while (this.#mayBegin) {
      const batch = this.engine.begin();
      if (batch === undefined) this.isStuck = true;
      else {
        this.#inFlight++;
        this.events.onBatch(plan, batch);
      }
    }
  }

  /** @returns why it could not be */
  #complete(plan: number, { number, hidden }: Arrived): PynqLlmError | undefined {
    try {
      if (this.#lane !== undefined) {
        this.#lane.begin(number);
        this.events.onTurn(plan, number);
      }
      this.engine.complete(number, hidden);
      return this.#lane?.ended;
    } catch (error) {
      if (!isPynqLlmError(error)) throw error;
      return error;
    }
  }
}
