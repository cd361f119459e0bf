import type { AgentStages } from '../../agent/index.js';
import type { Bus } from '../../bus/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { StageBatch } from '../../llm/index.js';
import { errorFromWire, errorToWire } from '../../protocol/index.js';
import { fromBytes, type Hop, packHop, toBytes } from '../pipeline/hop.js';
import { boardsOf, type Plan } from '../pipeline/plan-record.js';
import { hopOf } from '../subjects.js';

interface PlanRunOptions {
  readonly bus: Bus;
  readonly stages: Pick<AgentStages, 'begin' | 'end' | 'run' | 'complete'>;
  /** The board's name. */
  readonly board: string;
  readonly plan: Plan;
  /** The board's stage in it. */
  readonly index: number;
  /** Where other boards have the stage's other rows. */
  readonly group?: PlanGroup | undefined;
  /** Told once when the plan cannot go on here; `run` is over then. */
  readonly onLost: (reason: PynqLlmError) => void;
}

/** The other boards of a stage that is cut by rows: they compute what they are told together with this one. */
export interface PlanGroup {
  /** @param hidden of the stage before, if there is one */
  sendBatch(batch: StageBatch, hidden: Float32Array | undefined): void;
  /** The plan is over. */
  end(reason: PynqLlmError): void;
}

/** A batch that others compute. */
interface Awaited {
  readonly batch: StageBatch;
  readonly timer: NodeJS.Timeout;
}

/**
 * The part in a plan of a stage's first board, until the plan is over: takes hidden states from the stage before, and gives them to the one behind. The
 * last stage has the batches begin, and gets back what the others have computed of them. Whatever is late, out of order or
 * not as large as it should be ends the plan.
 */
export class PlanRun {
  readonly #options: PlanRunOptions;
  readonly #before: string;
  readonly #behind: string;
  readonly #last: string;
  /** Of the last stage: by number. */
  readonly #awaited = new Map<number, Awaited>();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** By number: tells the group of a batch, once the device's thread comes to it. */
  readonly #turns = new Map<number, () => void>();
  /** Batch that comes next. */
  #next = 0;
  #isOver = false;

  constructor(options: PlanRunOptions) {
    this.#options = options;
    const { plan, index, stages } = options;
    const boards = plan.stages.map((stage) => stage.boards[0]!.board);
    this.#last = boards.at(-1)!;
    this.#before = boards.at(index - 1)!;
    this.#behind = boards[(index + 1) % boards.length]!;
    stages.begin(plan.model, plan.number, {
      onBatch: (batch) => this.#begin(batch),
      onTurn: (number) => this.#tellGroup(number),
      onFailed: (error) => this.lose(error),
    });
  }

  /** @returns whether it is of this plan, and from who may say it */
  take(hop: Hop, from: string): boolean {
    const { plan } = this.#options;
    if (this.#isOver || hop.model !== plan.model || hop.plan !== plan.number) return false;
    if (hop.kind === 'failed') {
      if (!this.#isLast || !boardsOf(plan).some(({ board }) => board === from)) return false;
      this.lose(errorFromWire(hop.error));
      return true;
    }
    if (from !== this.#before) return false;
    const { number, batch, hidden } = hop;
    if (number !== this.#next) {
      this.lose(this.#lost(`batch ${number} came where ${this.#next} was due`));
      return true;
    }
    this.#next++;
    if (this.#isLast) this.#complete(number, hidden);
    else void this.#compute(number, batch, hidden);
    return true;
  }

  /** The plan is over: what runs on the last stage ends with the reason. */
  end(reason: PynqLlmError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const { timer } of this.#awaited.values()) clearTimeout(timer);
    this.#turns.clear();
    const { stages, plan, group } = this.#options;
    // A step that waits for the others is over first.
    group?.end(reason);
    stages.end(plan.model, plan.number, reason);
  }

  get #isLast(): boolean {
    const { plan, index } = this.#options;
    return index === plan.stages.length - 1;
  }

  /** The last stage's: a batch goes to the first one. */
  #begin(batch: StageBatch): void {
    if (this.#isOver) return;
    const { hopMs, stages } = this.#options.plan;
    const { number } = batch;
    const ms = hopMs * stages.length;
    const timer = setTimeout(() => this.lose(this.#lost(`batch ${number} was not back within ${ms} ms`)), ms);
    this.#awaited.set(number, { batch, timer });
    this.#send(this.#behind, { kind: 'batch', number, batch });
  }

  #complete(number: number, bytes: Uint8Array | undefined): void {
    const awaited = this.#awaited.get(number);
    this.#awaited.delete(number);
    clearTimeout(awaited?.timer);
    const { stages, plan } = this.#options;
    if (awaited === undefined) {
      this.lose(this.#lost(`batch ${number} never began`));
      return;
    }
    const hidden = this.#statesOf(bytes, awaited.batch.columns.length);
    if (hidden === undefined) return;
    this.#awaitTurn(awaited.batch, hidden);
    stages.complete(plan.model, plan.number, number, hidden);
  }

  async #compute(
    number: number,
    batch: StageBatch | undefined,
    bytes: Uint8Array | undefined,
  ): Promise<void> {
    const { stages, plan, index } = this.#options;
    const timer = setTimeout(() => {
      this.lose(this.#lost(`batch ${number} was not computed within ${plan.hopMs} ms`));
    }, plan.hopMs);
    this.#timers.add(timer);
    try {
      if (batch?.number !== number) throw this.#lost(`batch ${number} has another number inside`);
      const hidden = index === 0 ? undefined : this.#statesOf(bytes, batch.columns.length);
      if (index > 0 && hidden === undefined) return;
      this.#awaitTurn(batch, hidden);
      const computed = await stages.run(plan.model, plan.number, batch, hidden);
      if (this.#isOver) return;
      // The last stage has the batch.
      const isKnown = this.#behind === this.#last;
      this.#send(this.#behind, {
        kind: 'batch',
        number,
        ...(!isKnown && { batch }),
        hidden: toBytes(computed),
      });
    } catch (error) {
      this.lose(isPynqLlmError(error) ? error : this.#lost(String(error)));
    } finally {
      clearTimeout(timer);
      this.#timers.delete(timer);
    }
  }

  /**
   * The group is told of a batch when the device's thread comes to it, and not when it comes: with several models on the same boards
   * all have to come to their batches in one order, or each waits for results of one that waits for its own.
   */
  #awaitTurn(batch: StageBatch, hidden: Float32Array<ArrayBuffer> | undefined): void {
    const { group } = this.#options;
    if (group === undefined) return;
    // The device's thread gets the states themselves.
    const kept = hidden?.slice();
    this.#turns.set(batch.number, () => group.sendBatch(batch, kept));
  }

  #tellGroup(number: number): void {
    this.#turns.get(number)?.();
    this.#turns.delete(number);
  }

  /** @returns undefined where they are not as many as the columns have, with which the plan ends */
  #statesOf(bytes: Uint8Array | undefined, columns: number): Float32Array<ArrayBuffer> | undefined {
    const { width } = this.#options.plan;
    if (bytes?.length === 4 * width * columns) return fromBytes(bytes);
    this.lose(this.#lost(`${bytes?.length ?? 0} bytes came for ${columns} columns of ${width} values`));
    return undefined;
  }

  #send(
    to: string,
    what:
      | { kind: 'failed'; error: ReturnType<typeof errorToWire> }
      | Omit<Extract<Hop, { kind: 'batch' }>, 'model' | 'plan'>,
  ): void {
    const { bus, board, plan } = this.#options;
    try {
      const { model, number } = plan;
      if (bus.publish(hopOf(to, board), packHop({ model, plan: number, ...what }))) return;
      this.lose(this.#lost('the broker is away'));
    } catch (error) {
      this.lose(isPynqLlmError(error) ? error : this.#lost(String(error)));
    }
  }

  /** The plan cannot go on: the last stage is told, and everybody who asks this board. */
  lose(reason: PynqLlmError): void {
    if (this.#isOver) return;
    const error = reason.code === 'FLEET_STAGE_LOST' ? reason : this.#lost(reason.message);
    const { bus, board, plan, onLost } = this.#options;
    this.end(error);
    if (!this.#isLast)
      try {
        const told = packHop({
          model: plan.model,
          plan: plan.number,
          kind: 'failed',
          error: errorToWire(error, 'AGENT_INTERNAL'),
        });
        bus.publish(hopOf(this.#last, board), told);
      } catch {
        // It finds out by its deadline.
      }
    onLost(error);
  }

  #lost(why: string): PynqLlmError {
    const { board, plan, index } = this.#options;
    const what = `Plan ${plan.number} ended at stage ${index}, on board ${board}: ${why}.`;
    return new PynqLlmError('FLEET_STAGE_LOST', what, {
      context: { plan: plan.number, board, stage: index },
    });
  }
}
