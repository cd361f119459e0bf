import type { Bus, KeyEntry, KeyValue } from '../../bus/index.js';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import { DEFAULT_MAX_COLUMNS, kvShapeOfStage, stagePool } from '../../llm/index.js';
import { type Clock, errorFromWire, type Params } from '../../protocol/index.js';
import { type Plan, type PlanRecord, packPlan, readPlan } from '../pipeline/plan-record.js';
import { assignPipelines, type PipelineMode } from '../plan/assign.js';
import type { FleetModel } from '../plan/fleet-model.js';
import type { PipelinePlan } from '../plan/pipeline-plan.js';
import { PLANS } from '../subjects.js';
import { type Boards, type FleetBoard, stageOf } from './boards.js';
import { assignRows, planRows, RoundTrips, type TensorMode } from './tensor-plans.js';

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
  readonly mode: PipelineMode;
  /** Where models are cut by rows, over as many boards as `mode` says. */
  readonly tensor?: TensorMode | undefined;
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

/** How it is to be loaded, as far as plans depend on it. */
interface CutRequest {
  readonly contextLength: number | undefined;
  readonly kvType: 'f16' | 'int8';
  readonly kvBytes: number | undefined;
  readonly maxColumns: number;
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
  readonly #blamed = new Map<string, number>();
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
    return plans.length === 0 ? this.#options.mode !== 'auto' : plans.some(({ stages }) => stages.length > 1);
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
      const taken = new Set(plans().flatMap(({ stages }) => stages.map(({ owner }) => owner)));
      const left = boards.all.filter(({ owner, record }) => !record.isDraining && !taken.has(owner));
      return left.sort((a, b) => this.#blameOf(a, now) - this.#blameOf(b, now));
    };
    for (const plan of plans()) {
      if (boards.isWhole(plan)) wanted.error = undefined;
      const why =
        this.#brokenBy(plan, wanted, now) ??
        this.#otherwise(plan, wanted) ??
        this.#tooShort(plan, free().length) ??
        this.#doesNotPay(plan, wanted);
      if (why === undefined) continue;
      log.warn({ plan: plan.number, model: digest, why }, 'a plan of the fleet is over');
      this.#plans.delete(plan.key);
      const { key, number: _, begunAt: __, ...record } = plan;
      await this.#bucket.put(key, packPlan({ ...record, stages: [] }));
    }
    if (now < wanted.notBefore) return this.#later(wanted.notBefore - now);
    const left = free();
    const isShort = mode !== 'auto' && left.length < mode && plans().length === 0 && left.length > 0;
    wanted.shortSince = isShort ? (wanted.shortSince ?? now) : undefined;
    const waitsMs = (wanted.shortSince ?? now) + SHORT_MS - now;
    if (isShort && waitsMs > 0) this.#later(waitsMs);
    try {
      const request = this.#requestOf(wanted);
      const { contextLength, kvType, maxColumns } = request;
      for (const one of this.#assign(wanted.model, left, request, isShort && waitsMs <= 0))
        await this.#begin({
          ...one,
          model: digest,
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

  /** @throws PynqLlmError as assignPipelines, or assignRows */
  #assign(
    model: FleetModel,
    left: readonly FleetBoard[],
    request: CutRequest,
    mayBeShort: boolean,
  ): Pick<PlanRecord, 'stages' | 'rows' | 'kvPool'>[] {
    const { mode, tensor, boards } = this.#options;
    if (tensor !== undefined) {
      this.#roundTrips.keep(new Set(boards.all.map(({ owner }) => owner)));
      if (left.length >= tensor.boards) return assignRows(model, left, request, tensor, this.#roundTrips);
      // One alone has all of it.
      if (mayBeShort && left.length > 1) return [planRows(model, left, request, tensor, this.#roundTrips)];
    }
    const others = left.map((board) => ({ ...board, description: board.record.info.description }));
    return assignPipelines(model, others, mode, { request }, mayBeShort).map((one) => ({
      stages: one.plan.stages.map(({ from, to, memory: { kvBytes, working } }, i) => {
        const { name: board, owner } = one.boards[i]!;
        return { board, owner, from, to, kvBytes, working };
      }),
      kvPool: poolOf(model, one.plan, request.kvType),
    }));
  }

  async #begin(record: PlanRecord): Promise<void> {
    const { clock, log, boards } = this.#options;
    let slot = 0;
    while (this.#plans.has(keyOf(record.model, slot))) slot++;
    const key = keyOf(record.model, slot);
    const number = await this.#bucket.put(key, packPlan(record));
    this.#plans.set(key, { ...record, key, number, begunAt: clock.now() });
    const cut = record.stages.map(({ board, from, to }) => `${board}: ${from} to ${to - 1}`);
    log.info({ plan: number, model: record.model, stages: cut }, 'a model is cut over boards');
    boards.look();
  }

  /** @returns why a plan cannot go on */
  #brokenBy({ number, stages, begunAt }: Running, wanted: Wanted, now: number): string | undefined {
    const { boards } = this.#options;
    for (const { board, owner } of stages) {
      const there = boards.get(board);
      if (there?.owner !== owner) return `board ${board} was lost`;
      if (there.record.isDraining) return `board ${board} leaves`;
      const state = stageOf(there.record, number);
      if (state?.state !== 'failed') continue;
      const error = errorFromWire(state.error);
      const at = error.context.board;
      const blamed = stages.find((stage) => stage.board === at)?.owner ?? owner;
      this.#blamed.set(blamed, now + BLAME_MS);
      wanted.error = error;
      wanted.failures = now - begunAt >= GOOD_MS ? 0 : wanted.failures + 1;
      wanted.notBefore = now + Math.min(MOST_AGAIN_MS, AGAIN_MS * 2 ** wanted.failures);
      return error.message;
    }
    return undefined;
  }

  /** A plan of the gateway before may not be as it is wanted now. */
  #otherwise({ stages, settings, rows }: Plan, wanted: Wanted): string | undefined {
    const { mode, tensor } = this.#options;
    const asked = this.#requestOf(wanted);
    const isOther = (['contextLength', 'kvType', 'maxColumns'] as const).some(
      (name) => settings[name] !== asked[name],
    );
    if (isOther) return 'it is to be loaded with other settings';
    if (stages.length > 1 && (rows === undefined) !== (tensor === undefined))
      return 'it is to be cut otherwise';
    return mode !== 'auto' && stages.length > mode ? `${mode} boards are to have it` : undefined;
  }

  /** A plan that was made while boards lacked makes room for one of as many as there should be. */
  #tooShort({ stages }: Plan, free: number): string | undefined {
    const { mode } = this.#options;
    const isMore = mode !== 'auto' && stages.length < mode && stages.length + free >= mode;
    return isMore ? `there are ${mode} boards now` : undefined;
  }

  /** The board with the engine has measured its links by now. */
  #doesNotPay(plan: Running, wanted: Wanted): string | undefined {
    const { boards, tensor } = this.#options;
    const { stages, number } = plan;
    const engine = stages.at(-1)!;
    const there = boards.get(engine.board);
    const ms = plan.rows && there && stageOf(there.record, number)?.stage?.roundTripMs;
    const owners = stages.map(({ owner }) => owner);
    if (tensor === undefined || ms === undefined || !this.#roundTrips.tell(owners, ms)) return undefined;
    const inOrder = [engine, ...stages.slice(0, -1)].flatMap(({ board }) => boards.get(board) ?? []);
    try {
      planRows(wanted.model, inOrder, this.#requestOf(wanted), tensor, this.#roundTrips);
      return undefined;
    } catch (error) {
      if (!isPynqLlmError(error)) throw error;
      wanted.error = error;
      return error.message;
    }
  }

  #blameOf({ owner }: FleetBoard, now: number): number {
    return (this.#blamed.get(owner) ?? 0) > now ? 1 : 0;
  }

  /** A hop carries the states of all columns of a batch in one message. @throws PynqLlmError FLEET_HOP_TOO_LARGE */
  #requestOf({ params, model }: Wanted): CutRequest {
    // Of boards with settings of their own each would take another type.
    const { contextLength, kvType = 'f16', kvBytes, maxColumns = DEFAULT_MAX_COLUMNS } = params;
    // Boards that are linked send no states over the bus.
    if (this.#options.tensor !== undefined) return { contextLength, kvType, kvBytes, maxColumns };
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

/** The pages that the stages of a plan have in common. @throws PynqLlmError LLM_KV_TYPE */
function poolOf({ memory }: FleetModel, { stages }: PipelinePlan, kvType: 'f16' | 'int8') {
  const each = stages.map((stage) => ({
    shape: kvShapeOfStage(memory, stage),
    bytes: stage.memory.kvBytes,
  }));
  return stagePool(each, kvType);
}

/** Deletes all plans: a gateway that cuts nothing has none. @throws PynqLlmError BUS_... */
export async function deletePlans(bus: Bus): Promise<void> {
  for await (const { key } of storedPlans(bus)) await bus.bucket(PLANS).delete(key);
}

async function* storedPlans(bus: Bus): AsyncGenerator<KeyEntry> {
  const ended = new AbortController();
  try {
    for await (const event of bus.bucket(PLANS).watch({ signal: ended.signal })) {
      if (event.kind === 'ready') return;
      if (event.kind === 'value') yield event;
    }
  } finally {
    ended.abort();
  }
}

function keyOf(model: string, slot: number): string {
  return `${model}.${slot}`;
}
