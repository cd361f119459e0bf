import { PynqLlmError } from '../../errors/index.js';
import type { Engine, StageBatch } from '../../llm/index.js';

/** What becomes of batches. */
export interface PlanEvents {
  readonly onBatch: (plan: number, batch: StageBatch) => void;
  /** One that others have computed is completed now, by several boards together. */
  readonly onTurn: (plan: number, number: number) => void;
  /** One that others have computed, or are computing, cannot be completed: the plan is lost. */
  readonly onFailed: (plan: number, number: number, error: PynqLlmError) => void;
}

/** A batch that others have computed. */
export interface Arrived {
  readonly number: number;
  readonly hidden: Float32Array;
}

/** Steps of an engine that needs other boards: there are some while there is a plan that all of them take part in. */
export abstract class PlanSteps {
  protected readonly engine: Engine;
  protected readonly events: PlanEvents;
  #plan: number | undefined;
  /** Why there is no plan. */
  #lost: PynqLlmError;
  /** Nothing could begin: what there is waits for batches under way, or for somebody to say something. */
  protected isStuck = false;

  /** @param missing what is not there before the first plan */
  constructor(engine: Engine, events: PlanEvents, missing: string) {
    this.engine = engine;
    this.events = events;
    this.#lost = new PynqLlmError('FLEET_STAGE_LOST', missing);
  }

  /** Of another plan, which nobody has ended, nothing goes on: its batches are none of this one. */
  begin(plan: number): void {
    if (this.#plan !== undefined)
      this.abort(new PynqLlmError('FLEET_STAGE_LOST', `Plan ${plan} began instead of plan ${this.#plan}.`));
    this.#plan = plan;
    this.isStuck = false;
  }

  /** What is there ends with the error. */
  end(plan: number, error: PynqLlmError): void {
    if (plan === this.#plan) this.abort(error);
  }

  abort(error: PynqLlmError): void {
    this.#plan = undefined;
    this.#lost = error;
    this.forget();
    this.engine.abort(error);
  }

  arrive(plan: number, arrived: Arrived): void {
    if (plan === this.#plan) this.take(arrived);
  }

  /** Something may have changed: it is worth looking whether anything can begin. */
  nudge(): void {
    this.isStuck = false;
  }

  get hasWork(): boolean {
    // Without a plan nobody is to wait.
    return this.#plan === undefined ? this.engine.count > 0 : this.canStep;
  }

  step(): void {
    if (this.#plan === undefined) this.engine.abort(this.#lost);
    else this.stepOf(this.#plan);
  }

  /** A batch cannot be completed: the plan is over. */
  protected fail(plan: number, number: number, error: PynqLlmError): void {
    this.events.onFailed(plan, number, error);
    this.abort(error);
  }

  /** Whether there is anything to do for the plan now. */
  protected abstract readonly canStep: boolean;
  protected abstract stepOf(plan: number): void;
  /** Takes what others have computed of a batch. */
  protected abstract take(arrived: Arrived): void;
  /** Nothing is under way any more. */
  protected abstract forget(): void;
}
