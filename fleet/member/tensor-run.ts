import type { AgentStages } from '../../agent/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { LaneMemory, type StageBatch } from '../../llm/index.js';
import type { LinkAddress, LinkPort } from '../links/link-port.js';
import { PlanLinks } from '../links/plan-links.js';
import { memberAt, type Plan, type RowPlan } from '../pipeline/plan-record.js';

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
  /** The board's place in the plan. */
  readonly index: number;
  /** The plan is over. */
  readonly signal: AbortSignal;
  /** Told once when the plan cannot go on here; `run` is over then. */
  readonly onLost: (reason: PynqLlmError) => void;
}

/**
 * A board's part in a plan by rows, until the plan is over: has links with the others, over which the device's thread meets theirs.
 * The last of the plan has the engine, and tells the others of each batch.
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
        onBatch: (batch) => void run.#compute(batch),
      });
    } catch (error) {
      throw run.#lost(error);
    }
    void run.#links.ended.then((error) => {
      if (error !== undefined) run.#lose(error);
    });
    return run;
  }

  /** Among the members of the cut, the first one of which has the engine. */
  get member(): number {
    return memberAt(this.#options.plan, this.#options.index);
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

  /** Its rows are loaded. */
  begin(): void {
    this.#hasBegun = true;
    const { stages, plan } = this.#options;
    stages.begin(plan.model, plan.number, {
      onBatch: (batch) => this.#links?.sendBatch(batch),
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

  async #compute(batch: StageBatch): Promise<void> {
    const { stages, plan } = this.#options;
    try {
      await stages.run(plan.model, plan.number, batch, undefined);
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
    const { plan, index } = this.#options;
    const other = isPynqLlmError(cause) ? cause.context.member : undefined;
    const at = plan.stages.findIndex((_, i) => memberAt(plan, i) === other);
    const { board } = plan.stages[at < 0 ? index : at]!;
    const why = cause instanceof Error ? cause.message : String(cause);
    return new PynqLlmError('FLEET_STAGE_LOST', `Plan ${plan.number} ended at board ${board}: ${why}`, {
      context: { plan: plan.number, board },
      cause,
    });
  }
}
