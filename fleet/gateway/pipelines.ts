import type { Bus, KeyValue } from '../../bus/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import { DEFAULT_MAX_COLUMNS } from '../../llm/index.js';
import { type Clock, errorFromWire, type Params } from '../../protocol/index.js';
import {
  boardsOf,
  type Plan,
  type PlannedStage,
  type PlanRecord,
  packPlan,
  readPlan,
} from '../pipeline/plan-record.js';
import type { FleetModel } from '../plan/fleet-model.js';
import { PLANS } from '../subjects.js';
import { type Boards, type FleetBoard, stageOf } from './boards.js';
import {
  boardsOfPlan,
  type CutMode,
  type CutRequest,
  cutOtherwise,
  formPlans,
  mayGrow,
  poolOf,
} from './form-plans.js';
import { planStages, RoundTrips } from './group-plans.js';
import { Lasting } from './lasting.js';
import { storedPlans } from './stored-plans.js';

/** With fewer boards than the mode asks for, more may be on their way. */
const SHORT_MS = 2_000;
/** Of boards that are there, plans that fail one after the other follow each other so late. */
const AGAIN_MS = 250;
const MOST_AGAIN_MS = 8_000;
/** A plan that went on for so long was a good one. */
const GOOD_MS = 30_000;
/** A board at which a plan ended is taken last for so long. */
const BLAME_MS = 60_000;
/** What a hop has besides hidden states. */
const HOP_BYTES = 64 * 1024;
const HOP_MS = 60_000;

export interface PipelinesOptions {
  readonly bus: Bus;
  readonly boards: Boards;
  readonly clock: Clock;
  readonly log: Log;
  readonly mode: CutMode;
  /** The header of a model of the store. */
  readonly modelOf: (digest: string) => FleetModel;
  /** Milliseconds that a stage may take for a batch; a minute unless given. */
  readonly hopMs?: number | undefined;
}

/** A model that is to be served, and how its plans went. */
interface Wanted {
  readonly params: Params<'models.load'>;
  readonly model: FleetModel;
  /** Why there is no plan, or why the last one ended, while none is whole. */
  error: PynqLlmError | undefined;
  /** Plans that failed one after the other, and before when there is no next one. */
  failures: number;
  notBefore: number;
  /** Since when there are fewer boards than the mode asks for. */
  shortSince: number | undefined;
}

interface Running extends Plan {
  readonly key: string;
  readonly begunAt: number;
}

/**
 * Cuts the fleet's models over its boards, as often as boards come, go, or fail. A plan is never changed: another one, with a
 * greater number, takes its place.
 */
export class Pipelines {
  readonly #options: PipelinesOptions;
  readonly #bucket: KeyValue;
  readonly #wanted = new Map<string, Wanted>();
  /** By key. */
  readonly #plans = new Map<string, Running>();
  readonly #roundTrips = new RoundTrips();
  /** Owners of boards at which plans ended. */
  readonly #blamed = new Lasting();
  /** One after the other: each sees what the one before has written. */
  #work: Promise<void> = Promise.resolve();
  #isDue = false;
  #stopTimer: (() => void) | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #isClosed = false;

  constructor(options: PipelinesOptions) {
    this.#options = options;
    this.#bucket = options.bus.bucket(PLANS);
  }

  /**
   * Takes on the plans of the gateway before: what its boards have loaded need not be loaded again.
   * @throws PynqLlmError BUS_...
   */
  async adopt(): Promise<void> {
    for await (const { key, value, revision } of storedPlans(this.#options.bus))
      try {
        const plan = readPlan(value, revision);
        if (plan.stages.length > 0)
          this.#plans.set(key, { ...plan, key, begunAt: this.#options.clock.now() });
      } catch (err) {
        this.#options.log.warn({ err }, 'a plan of the gateway before cannot be read');
        await this.#bucket.delete(key);
      }
  }

  /** The plans of a model, or of all, by number. */
  plans(model?: string): readonly Plan[] {
    return [...this.#plans.values()]
      .filter((plan) => model === undefined || plan.model === model)
      .sort((a, b) => a.number - b.number);
  }

  /** The plan with this number. */
  plan(number: number): Plan | undefined {
    return this.plans().find((plan) => plan.number === number);
  }

  /** Whether a model is on several boards, or is about to be. */
  isCut(model: string): boolean {
    if (!this.#wanted.has(model)) return false;
    const plans = this.plans(model);
    const { stages, tensor } = this.#options.mode;
    if (plans.length === 0) return stages !== 'auto' || tensor !== undefined;
    return plans.some((plan) => boardsOf(plan).length > 1);
  }

  /** Why a model is on no boards. */
  errorOf(model: string): PynqLlmError | undefined {
    return this.#wanted.get(model)?.error;
  }

  /** A model that a gateway before has served is served on. */
  take(params: Params<'models.load'>): void {
    if (!this.#wanted.has(params.model)) void this.want(params).catch(() => undefined);
  }

  /**
   * A model is to be served from now on; resolves once it is planned, or there are too few boards yet.
   * @throws PynqLlmError FLEET_PLAN_..., FLEET_HOP_TOO_LARGE, LLM_..., GGUF_... where it cannot be; AGENT_MODEL_LOADED_OTHERWISE
   */
  async want(params: Params<'models.load'>): Promise<void> {
    const before = this.#wanted.get(params.model);
    if (before !== undefined) requireSame(before.params, params);
    const wanted: Wanted = {
      params: before?.params ?? params,
      model: before?.model ?? this.#options.modelOf(params.model),
      error: undefined,
      failures: 0,
      notBefore: 0,
      shortSince: undefined,
    };
    this.#wanted.set(params.model, wanted);
    this.reconcile();
    await this.#work;
    if (this.plans(params.model).length === 0 && wanted.error !== undefined) {
      this.#wanted.delete(params.model);
      throw wanted.error;
    }
  }

  /** A model is to be served no more. @throws PynqLlmError BUS_... */
  async unwant(model: string): Promise<void> {
    this.#wanted.delete(model);
    for (const [key, plan] of [...this.#plans])
      if (plan.model === model) {
        this.#plans.delete(key);
        await this.#bucket.delete(key);
      }
  }

  /** Boards came, went, or say something else. */
  reconcile(): void {
    if (this.#isDue || this.#isClosed || this.#wanted.size === 0) return;
    this.#isDue = true;
    this.#work = this.#work.then(async () => {
      this.#isDue = false;
      try {
        for (const [digest, wanted] of [...this.#wanted]) await this.#replan(digest, wanted);
      } catch (err) {
        this.#options.log.warn({ err }, 'plans of the fleet cannot be written now');
        this.#later(AGAIN_MS);
      }
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#stopTimer?.();
  }

  /** @throws PynqLlmError BUS_... */
  async #replan(digest: string, wanted: Wanted): Promise<void> {
    const { boards, clock, log, mode } = this.#options;
    const now = clock.now();
    const plans = () => [...this.#plans.values()].filter(({ model }) => model === digest);
    const free = () => {
      const taken = new Set(plans().flatMap((plan) => boardsOf(plan).map(({ owner }) => owner)));
      const left = boards.all.filter(({ owner, record }) => !record.isDraining && !taken.has(owner));
      return left.sort((a, b) => this.#blameOf(a, now) - this.#blameOf(b, now));
    };
    const tooShort = ({ stages }: Running) => {
      const all = plans().map((plan) => plan.stages);
      const grows = mayGrow(stages, all, free().length, mode);
      return grows ? `there are ${boardsOfPlan(mode)} boards now` : undefined;
    };
    for (const plan of plans()) {
      if (boards.isWhole(plan)) wanted.error = undefined;
      const why =
        this.#brokenBy(plan, wanted, now) ??
        this.#otherwise(plan, wanted) ??
        tooShort(plan) ??
        this.#doesNotPay(plan, wanted);
      if (why === undefined) continue;
      log.warn({ plan: plan.number, model: digest, why }, 'a plan of the fleet is over');
      this.#plans.delete(plan.key);
      const { key, number: _, begunAt: __, ...record } = plan;
      await this.#bucket.put(key, packPlan({ ...record, stages: [] }));
    }
    if (now < wanted.notBefore) return this.#later(wanted.notBefore - now);
    const left = free();
    const isShort = left.length > 0 && left.length < boardsOfPlan(mode) && plans().length === 0;
    wanted.shortSince = isShort ? (wanted.shortSince ?? now) : undefined;
    const waitsMs = (wanted.shortSince ?? now) + SHORT_MS - now;
    if (isShort && waitsMs > 0) this.#later(waitsMs);
    try {
      const request = this.#requestOf(wanted);
      const { contextLength, kvType, maxColumns } = request;
      for (const stages of this.#form(digest, wanted.model, left, request, isShort && waitsMs <= 0))
        await this.#begin({
          model: digest,
          stages,
          kvPool: poolOf(wanted.model, stages, kvType),
          settings: { contextLength, kvType, maxColumns },
          width: wanted.model.memory.embedding,
          hopMs: this.#options.hopMs ?? HOP_MS,
        });
    } catch (error) {
      if (!isPynqLlmError(error) || error.code.startsWith('BUS_')) throw error;
      if (plans().length > 0) return;
      log.warn({ err: error, model: digest }, 'a model cannot be cut over the boards that are there');
      wanted.error = error;
      boards.look();
    }
  }

  /** @throws PynqLlmError as formPlans */
  #form(
    digest: string,
    model: FleetModel,
    left: readonly FleetBoard[],
    request: CutRequest,
    mayBeShort: boolean,
  ): PlannedStage[][] {
    const { mode, boards } = this.#options;
    this.#roundTrips.keep(new Set(boards.all.map(({ owner }) => owner)));
    const others = this.plans().filter((plan) => plan.model !== digest);
    const together = others.flatMap(({ stages }) =>
      stages.filter(({ rows }) => rows !== undefined).map((stage) => stage.boards.map(({ owner }) => owner)),
    );
    const facts = { roundTrips: this.#roundTrips, together };
    return formPlans(model, left, request, mode, mayBeShort, facts);
  }

  async #begin(record: PlanRecord): Promise<void> {
    const { clock, log, boards } = this.#options;
    let slot = 0;
    while (this.#plans.has(keyOf(record.model, slot))) slot++;
    const key = keyOf(record.model, slot);
    const number = await this.#bucket.put(key, packPlan(record));
    this.#plans.set(key, { ...record, key, number, begunAt: clock.now() });
    const cut = record.stages.map(
      ({ boards: members, from, to }) => `${members.map(({ board }) => board)}: ${from} to ${to - 1}`,
    );
    log.info({ plan: number, model: record.model, stages: cut }, 'a model is cut over boards');
    boards.look();
  }

  /** @returns why a plan cannot go on */
  #brokenBy(plan: Running, wanted: Wanted, now: number): string | undefined {
    const { boards } = this.#options;
    const { number, begunAt } = plan;
    const planned = boardsOf(plan);
    for (const { board, owner } of planned) {
      const there = boards.get(board);
      if (there?.owner !== owner) return `board ${board} was lost`;
      if (there.record.isDraining) return `board ${board} leaves`;
      const state = stageOf(there.record, number);
      if (state?.state !== 'failed') continue;
      const error = errorFromWire(state.error);
      const at = error.context.board;
      const blamed = planned.find((one) => one.board === at)?.owner ?? owner;
      this.#blamed.note(blamed, BLAME_MS, now);
      wanted.error = error;
      wanted.failures = now - begunAt >= GOOD_MS ? 0 : wanted.failures + 1;
      wanted.notBefore = now + Math.min(MOST_AGAIN_MS, AGAIN_MS * 2 ** wanted.failures);
      return error.message;
    }
    return undefined;
  }

  /** A plan of the gateway before may not be as it is wanted now. */
  #otherwise(plan: Plan, wanted: Wanted): string | undefined {
    const { mode } = this.#options;
    const { stages, settings } = plan;
    const asked = this.#requestOf(wanted);
    const isOther = (['contextLength', 'kvType', 'maxColumns'] as const).some(
      (name) => settings[name] !== asked[name],
    );
    if (isOther) return 'it is to be loaded with other settings';
    return cutOtherwise(stages, mode);
  }

  /** The first boards of stages have measured their links by now. */
  #doesNotPay({ stages, number }: Running, wanted: Wanted): string | undefined {
    const { boards, mode } = this.#options;
    if (mode.tensor === undefined) return undefined;
    const groups = stages.map((stage) => stage.boards.flatMap(({ board }) => boards.get(board) ?? []));
    const told = stages.filter((stage, i) => this.#tellRoundTrip(stage, number, groups[i]!));
    if (told.length === 0) return undefined;
    try {
      planStages(wanted.model, groups, this.#requestOf(wanted), mode.tensor, this.#roundTrips);
      return undefined;
    } catch (error) {
      if (!isPynqLlmError(error)) throw error;
      wanted.error = error;
      return error.message;
    }
  }

  /** @returns whether a stage has a round trip that was not known */
  #tellRoundTrip({ boards, rows }: PlannedStage, plan: number, [first]: readonly FleetBoard[]): boolean {
    const ms = rows && first && stageOf(first.record, plan)?.stage?.roundTripMs;
    if (ms === undefined) return false;
    return this.#roundTrips.tell(
      boards.map(({ owner }) => owner),
      ms,
    );
  }

  #blameOf({ owner }: FleetBoard, now: number): number {
    return this.#blamed.has(owner, now) ? 1 : 0;
  }

  /** A hop carries the states of all columns of a batch in one message. @throws PynqLlmError FLEET_HOP_TOO_LARGE */
  #requestOf({ params, model }: Wanted): CutRequest {
    // Of boards with settings of their own each would take another type.
    const { contextLength, kvType = 'f16', kvBytes, maxColumns = DEFAULT_MAX_COLUMNS } = params;
    // Boards of one stage send no states over the bus.
    if (this.#options.mode.stages === 1) return { contextLength, kvType, kvBytes, maxColumns };
    const { maxPayload } = this.#options.bus;
    const columns = Math.floor((maxPayload - HOP_BYTES) / (4 * model.memory.embedding));
    if (columns < 1)
      throw new PynqLlmError(
        'FLEET_HOP_TOO_LARGE',
        `A token of ${model.name} has ${4 * model.memory.embedding} bytes on its way between boards; the broker takes ${maxPayload}, others included.`,
      );
    return { contextLength, kvType, kvBytes, maxColumns: Math.min(maxColumns, columns) };
  }

  /** Looks again then, or before where another model is due. */
  #later(ms: number): void {
    const { clock } = this.#options;
    const dueAt = clock.now() + Math.max(1, ms);
    if (this.#dueAt <= dueAt) return;
    this.#stopTimer?.();
    this.#dueAt = dueAt;
    this.#stopTimer = clock.after(Math.max(1, ms), () => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      this.reconcile();
    });
  }
}

/** Who asks for a model again gets it as it is. @throws PynqLlmError AGENT_MODEL_LOADED_OTHERWISE */
function requireSame(loaded: Params<'models.load'>, asked: Params<'models.load'>): void {
  for (const name of ['contextLength', 'kvType', 'kvBytes', 'maxColumns'] as const)
    if (asked[name] !== undefined && asked[name] !== loaded[name])
      throw new PynqLlmError(
        'AGENT_MODEL_LOADED_OTHERWISE',
        `The model is loaded with ${name} ${loaded[name] ?? 'as it is usual'}, not ${asked[name]}.`,
        { context: { asked: asked[name] } },
      );
}

function keyOf(model: string, slot: number): string {
  return `${model}.${slot}`;
}
