import { findModel, type ModelStore, type StoreEntry } from '../../agent/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { Log } from '../../listen/index.js';
import { checkPromptLength } from '../../llm/index.js';
import {
  errorFromWire,
  type OnProgress,
  type Params,
  type Result,
  type StoredModel,
} from '../../protocol/index.js';
import { requireExactTypes } from '../exact-types.js';
import { boardsOf } from '../pipeline/plan-record.js';
import { type Boards, type FleetBoard, modelOf, stageOf } from './boards.js';
import type { Calls } from './calls.js';
import type { Pipelines } from './pipelines.js';
import type { WantedModels } from './wanted-models.js';

/** A board that loads a model tells of its progress every second or so; packing a large matrix takes longer. */
const STALL_MS = 180_000;
/** What boards may take to let go of layers of a model. */
const UNLOAD_MS = 60_000;

interface FleetModelsOptions {
  readonly store: ModelStore;
  readonly boards: Boards;
  readonly calls: Calls;
  readonly log: Log;
  /** Where models are cut over boards, or told which has all of them. */
  readonly pipelines: Pipelines | undefined;
  readonly wanted: WantedModels;
  /** How long a model waits for a first board. */
  readonly waitMs: number;
}

/** The models of the fleet: stored by the gateway, and on every board that can load them. */
export class FleetModels {
  readonly #options: FleetModelsOptions;
  readonly #wanted: WantedModels;
  /** Tokens that the contexts of models hold, as boards have told. */
  readonly #contexts = new Map<string, number>();

  constructor(options: FleetModelsOptions) {
    this.#options = options;
    this.#wanted = options.wanted;
  }

  /** Whether models are cut over boards, or may be. */
  get areCut(): boolean {
    return this.#options.pipelines !== undefined;
  }

  get count(): number {
    return this.#wanted.size;
  }

  /** Digests of what every board is to have. */
  get wanted(): string[] {
    return this.#wanted.all.map(({ model }) => model);
  }

  /** What clients are told of a model. */
  describe({ digest, names, bytes }: StoreEntry): StoredModel {
    return { digest, bytes, names: [...names], state: this.stateOf(digest) };
  }

  stateOf(digest: string): StoredModel['state'] {
    if (!this.#wanted.has(digest)) return 'stored';
    return this.#options.boards.with([digest]).length > 0 ? 'loaded' : 'loading';
  }

  /** @throws PynqLlmError AGENT_MODEL_UNKNOWN */
  find(digest: string): Promise<StoreEntry> {
    return findModel(this.#options.store, digest);
  }

  /** @throws PynqLlmError AGENT_MODEL_NOT_LOADED */
  requireLoaded(digest: string): void {
    if (this.#wanted.has(digest)) return;
    throw new PynqLlmError('AGENT_MODEL_NOT_LOADED', `Model ${digest} is not loaded.`, {
      context: { model: digest },
    });
  }

  /** Refuses what every board would, before it waits for one. @throws PynqLlmError LLM_PROMPT_TOO_LONG */
  requireRoom(digest: string, promptTokens: number): void {
    const contextLength = this.#contexts.get(digest);
    if (contextLength !== undefined) checkPromptLength(promptTokens, contextLength);
  }

  /** @throws PynqLlmError AGENT_MODEL_NOT_LOADED, FLEET_STAGE_DRAFT */
  requireDrafting(digest: string): void {
    this.requireLoaded(digest);
    if (!this.#options.pipelines?.isCut(digest)) return;
    throw new PynqLlmError('FLEET_STAGE_DRAFT', `Model ${digest} is cut over several boards.`, {
      context: { model: digest },
    });
  }

  /** A board is there, or has changed: it is to have what all have, and nothing else that a gateway had it load. */
  reconcile({ name, record }: FleetBoard): void {
    const { pipelines } = this.#options;
    if (pipelines !== undefined) {
      // What gateways before had loaded is wanted by this one, too.
      for (const params of this.#wanted.all) pipelines.take(params);
      pipelines.reconcile();
      return;
    }
    for (const params of this.#wanted.all)
      if (modelOf(record, params.model) === undefined) void this.#send(name, params);
    const { calls, log } = this.#options;
    for (const { digest: model, state } of record.models)
      if (state === 'loaded' && !this.#wanted.has(model))
        calls.ask(name, 'models.unload', { model }).catch((err: unknown) => {
          // It was told before, and has not said yet that it did.
          log.info({ board: name, model, err }, 'a model was not unloaded on a board');
        });
  }

  /**
   * Has every board load a model; resolves once each that is there has it or has failed, and one has it.
   * @throws PynqLlmError FLEET_CORE_TYPES, FLEET_NO_BOARDS, FLEET_MODEL_FAILED, FLEET_LOAD_STALLED, FLEET_PLAN_..., FLEET_NO_PLAN, BUS_...;
   *   where all boards say the same, that
   */
  async load(settings: Params<'models.load'>, onProgress: OnProgress): Promise<Result<'models.load'>> {
    const loaded = await this.#load(settings, onProgress);
    this.#contexts.set(settings.model, loaded.facts.contextLength);
    return loaded;
  }

  async #load(settings: Params<'models.load'>, onProgress: OnProgress): Promise<Result<'models.load'>> {
    const { boards, calls, waitMs, pipelines } = this.#options;
    const params = { ...settings, coreTypes: requireExactTypes(settings.coreTypes) };
    const { model } = params;
    await this.find(model);
    const isFirst = !this.#wanted.has(model);
    if (isFirst) await this.#wanted.add(params);
    try {
      const first = await boards.until(() => boards.all[0], waitMs);
      if (first === undefined)
        throw new PynqLlmError('FLEET_NO_BOARDS', `No board was there within ${waitMs} ms to load ${model}.`);
      if (pipelines !== undefined) return await this.#cut(pipelines, params, onProgress);
      // Where it failed it is tried again.
      const attempts = new Map<string, number>();
      await Promise.all(
        boards.all.map(async ({ name, owner }) => {
          const attempt = await this.#send(name, params);
          if (attempt !== undefined) attempts.set(owner, attempt);
        }),
      );
      const loaded = await this.#settled(model, attempts, onProgress);
      return await calls.ask(loaded.name, 'models.load', params);
    } catch (error) {
      if (isFirst && boards.with([model]).length === 0) await this.#wanted.remove(model);
      throw error;
    }
  }

  /** @throws PynqLlmError as the boards */
  async unload(digest: string): Promise<void> {
    await this.#wanted.remove(digest);
    this.#contexts.delete(digest);
    const { boards, calls, pipelines } = this.#options;
    if (pipelines !== undefined) {
      await pipelines.unwant(digest);
      const isGone = () =>
        boards.all.every(({ record }) => modelOf(record, digest) === undefined) || undefined;
      await boards.until(isGone, UNLOAD_MS);
      return;
    }
    await Promise.all(
      boards.with([digest]).map(({ name }) => calls.ask(name, 'models.unload', { model: digest })),
    );
  }

  /** Removes it from the gateway's store, and from the boards' where they have one of their own. */
  async delete(digest: string): Promise<void> {
    if (this.#wanted.has(digest)) await this.unload(digest);
    const { boards, calls, store, log } = this.#options;
    await store.delete(digest);
    for (const { name } of boards.all)
      await calls.ask(name, 'models.delete', { model: digest }).catch((err: unknown) => {
        // It never had it, or shares the store.
        log.info({ board: name, err }, 'a model was not deleted on a board');
      });
  }

  /** @returns the attempt that the board tells of, where it could be asked; it is asked again when it says something else of itself */
  async #send(board: string, params: Params<'models.load'>): Promise<number | undefined> {
    const { calls, log } = this.#options;
    try {
      return await calls.load(board, params);
    } catch (err) {
      log.warn({ board, err }, 'a board was not told of a model');
      return undefined;
    }
  }

  /**
   * Has a model cut over boards; resolves once every plan that is made of them is whole, or the first one that could not be.
   * @throws PynqLlmError FLEET_PLAN_..., FLEET_NO_PLAN, FLEET_LOAD_STALLED, as the boards
   */
  async #cut(
    pipelines: Pipelines,
    params: Params<'models.load'>,
    onProgress: OnProgress,
  ): Promise<Result<'models.load'>> {
    const { boards, calls, waitMs } = this.#options;
    const { model } = params;
    try {
      await pipelines.want(params);
      for (let before: string | undefined; ; ) {
        const now = await boards.until(
          () => {
            const plans = pipelines.plans(model);
            const [serving] = boards.with([model]);
            const isOver = serving !== undefined && plans.every((plan) => boards.isWhole(plan));
            const error = serving === undefined ? pipelines.errorOf(model) : undefined;
            const states = plans.flatMap((plan) =>
              boardsOf(plan).map(({ board }) => {
                const there = boards.get(board);
                return there && stageOf(there.record, plan.number);
              }),
            );
            const signature = JSON.stringify(states);
            if (isOver) return { serving };
            if (error !== undefined) return { error };
            return signature === before ? undefined : { states, signature };
          },
          pipelines.plans(model).length === 0 ? waitMs : STALL_MS,
        );
        if (now === undefined) throw this.#notCut(pipelines.plans(model).length);
        if (now.error !== undefined) throw now.error;
        if (now.serving !== undefined) {
          // Its memory is as planned, whatever was asked for in all.
          const { kvBytes: _, maxColumns: __, ...settings } = params;
          return await calls.ask(now.serving.name, 'models.load', settings);
        }
        before = now.signature;
        const parts = now.states.map((state) =>
          state?.state === 'loading' ? state : { done: state?.state === 'loaded' ? 1 : 0, total: 1 },
        );
        if (parts.length > 0) tellSum(parts, onProgress);
      }
    } catch (error) {
      if (boards.with([model]).length === 0) await pipelines.unwant(model).catch(() => undefined);
      throw error;
    }
  }

  #notCut(plans: number): PynqLlmError {
    if (plans > 0) return stalled();
    const { boards, waitMs } = this.#options;
    return new PynqLlmError(
      'FLEET_NO_PLAN',
      `${boards.all.length} boards were there for ${waitMs} ms, which is not enough to cut the model over.`,
    );
  }

  /** A board that has it, once no board is loading any more. */
  async #settled(
    model: string,
    attempts: ReadonlyMap<string, number>,
    onProgress: OnProgress,
  ): Promise<FleetBoard> {
    const { boards, log } = this.#options;
    for (;;) {
      let before: string | undefined;
      const now = await boards.until(() => {
        const states = boards.all.map((board) => {
          const state = modelOf(board.record, model);
          const isOld = state !== undefined && state.attempt < (attempts.get(board.owner) ?? 0);
          return { board, state: isOld ? undefined : state };
        });
        const isOver = states.length > 0 && states.every(({ state }) => state && state.state !== 'loading');
        const signature = JSON.stringify(states.map(({ state }) => state));
        before ??= signature;
        return isOver || signature !== before ? { states, isOver } : undefined;
      }, STALL_MS);
      if (now === undefined) throw stalled();
      const { states, isOver } = now;
      const failed = states.flatMap(({ board, state }) =>
        state?.state === 'failed' ? [{ board: board.name, error: state.error }] : [],
      );
      if (!isOver) {
        const parts = states.map(({ state }) =>
          state?.state === 'loading' ? state : { done: state === undefined ? 0 : 1, total: 1 },
        );
        tellSum(parts, onProgress);
        continue;
      }
      for (const { board, error } of failed)
        log.warn({ board, model, error: error.message }, 'a board could not load a model');
      const loaded = states.find(({ state }) => state?.state === 'loaded');
      if (loaded !== undefined) return loaded.board;
      const [{ error }] = failed;
      if (failed.every((one) => one.error.code === error.code)) throw errorFromWire(error);
      const said = failed.map((one) => `${one.board}: ${one.error.message}`).join(' ');
      throw new PynqLlmError('FLEET_MODEL_FAILED', `Model ${model} was loaded by no board. ${said}`, {
        context: { model },
      });
    }
  }
}

/** How far all boards together are. */
function tellSum(
  parts: readonly { readonly done: number; readonly total: number }[],
  onProgress: OnProgress,
): void {
  const sum = (of: 'done' | 'total') => parts.reduce((all, part) => all + part[of], 0);
  onProgress(sum('done'), sum('total'), 'bytes');
}

function stalled(): PynqLlmError {
  return new PynqLlmError('FLEET_LOAD_STALLED', `No board told of its progress for ${STALL_MS} ms.`);
}
