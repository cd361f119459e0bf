import type { AgentStages } from '../../agent/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { LaneMemory, type StageBatch } from '../../llm/index.js';
import type { LinkAddress, LinkPort } from '../links/link-port.js';
import { PlanLinks } from '../links/plan-links.js';
import type { Place, Plan, RowPlan } from '../pipeline/plan-record.js';

const PING_MS = 10_000;

/** Where a board lets the boards of its plans in. */
export interface BoardLinks {
  readonly port: LinkPort;
  /** How the other boards reach it, and what it shows. */
  readonly address: LinkAddress;
}

interface TensorRunOptions {
  readonly port: LinkPort;
  readonly stages: Pick<AgentStages, 'begin' | 'end' | 'run'>;
  readonly plan: Plan;
  readonly rows: RowPlan;
  readonly place: Place;
  /** The plan is over. */
  readonly signal: AbortSignal;
  /** Told once when the plan cannot go on here; `run` is over then. */
  readonly onLost: (reason: PynqLlmError) => void;
}

/**
 * A board's part in a stage that is cut by rows, until the plan is over: has links with the other boards of the stage, over which the
 * device's thread meets theirs. The first of them tells the others of each batch: where it is the only stage, those of its engine.
 */
export class TensorRun {
  readonly #options: TensorRunOptions;
  /** Of the device's thread. */
  readonly lane: LaneMemory;
  #links: PlanLinks | undefined;
  #hasBegun = false;
  #isOver = false;

  private constructor(options: TensorRunOptions) {
    this.#options = options;
    this.lane = LaneMemory.create(options.rows.links.length, options.rows.laneBytes);
  }

  /** Opens its links. @throws PynqLlmError FLEET_STAGE_LOST */
  static async open(options: TensorRunOptions): Promise<TensorRun> {
    const run = new TensorRun(options);
    const { port, plan, rows, signal } = options;
    try {
      run.#links = await PlanLinks.open(port, {
        plan: plan.number,
        own: run.member,
        members: rows.links,
        lane: run.lane,
        openMs: plan.hopMs,
        signal,
        stateBytes: run.#options.place.stage === 0 ? 0 : 4 * plan.width,
        onBatch: (batch, hidden) => void run.#compute(batch, hidden),
      });
    } catch (error) {
      throw run.#lost(error);
    }
    void run.#links.ended.then((error) => {
      if (error !== undefined) run.#lose(error);
    });
    return run;
  }

  /** Among the boards of the stage. */
  get member(): number {
    return this.#options.place.member;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Round trip to the slowest of the others. @throws PynqLlmError FLEET_STAGE_LOST */
  async roundTripMs(): Promise<number> {
    try {
      return await this.#links!.roundTripMs(PING_MS);
    } catch (error) {
      throw this.#lost(error);
    }
  }

  /** The others compute this, too. @param hidden of the stage before, if there is one */
  sendBatch(batch: StageBatch, hidden?: Float32Array): void {
    this.#links?.sendBatch(batch, hidden);
  }

  /** Its rows are loaded, and it has nothing to do with other stages. */
  begin(): void {
    this.#hasBegun = true;
    const { stages, plan } = this.#options;
    stages.begin(plan.model, plan.number, {
      onBatch: (batch) => this.sendBatch(batch),
      onFailed: (error) => this.#lose(error),
    });
  }

  /** It has nothing to take from the bus. */
  take(): boolean {
    return false;
  }

  /** The plan is over: what runs on the engine ends with the reason. */
  end(reason: PynqLlmError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    // A step that waits for the others is over first.
    this.#links?.close();
    const { stages, plan } = this.#options;
    if (this.#hasBegun) stages.end(plan.model, plan.number, reason);
  }

  async #compute(batch: StageBatch, hidden: Float32Array<ArrayBuffer> | undefined): Promise<void> {
    const { stages, plan } = this.#options;
    try {
      await stages.run(plan.model, plan.number, batch, hidden);
    } catch (error) {
      this.#lose(error);
    }
  }

  #lose(error: unknown): void {
    if (this.#isOver) return;
    const reason = this.#lost(error);
    this.end(reason);
    this.#options.onLost(reason);
  }

  /** With the board that another one is to be taken for: the one at the other end of a link, or this one. */
  #lost(cause: unknown): PynqLlmError {
    const { plan, place } = this.#options;
    const { boards } = plan.stages[place.stage]!;
    const other = isPynqLlmError(cause) ? cause.context.member : undefined;
    const { board } = boards[typeof other === 'number' && other in boards ? other : place.member]!;
    const why = cause instanceof Error ? cause.message : String(cause);
    return new PynqLlmError('FLEET_STAGE_LOST', `Plan ${plan.number} ended at board ${board}: ${why}`, {
      context: { plan: plan.number, board },
      cause,
    });
  }
}
