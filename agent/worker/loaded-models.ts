import { isDeepStrictEqual } from 'node:util';
import type { Accelerator, WorkingPlan } from '../../driver/index.js';
import { PynqLlmError } from '../../errors/index.js';
import {
  EngineMetrics,
  newCost,
  SpillFolder,
  Stage,
  type SystemMemory,
  TensorMember,
} from '../../llm/index.js';
import { errorFromWire, type GenerateEvent, type OnProgress, type Result } from '../../protocol/index.js';
import type { ProgramHost, WorkerSetup } from '../worker-link/messages.js';
import type { DeviceParams, QueuedMethod } from '../worker-link/methods.js';
import type { FromStage, ToStage } from '../worker-link/stage-messages.js';
import type { CpuSettings } from './cpu-part.js';
import type { DeviceHandlers, MethodsOf } from './handlers.js';
import { followerOf, LoadedStages } from './loaded-stages.js';
import { MemoryRoom } from './memory-room.js';
import { ModelBudgets } from './model-budgets.js';
import { checkLoadedAs, loadedOtherwise } from './model-facts.js';
import { type OpenModel, type OpenModelOptions, openModel } from './open-model.js';
import { ProgramThread } from './program-thread.js';
import { readMetrics } from './read-metrics.js';
import { type Loaded, type ServeOptions, serveModel } from './serve-model.js';
import { pinReleased, SessionPins } from './session-pins.js';
import { SessionScores } from './session-scores.js';
import { textHandlers } from './text-handlers.js';
import { type Text, TextQueue } from './text-queue.js';

/** What models tell while they work. */
export interface ModelEvents {
  onEvent(generation: string, event: GenerateEvent): void;
  /** Bytes of weights loaded, or tokens scored or of a prompt to be pinned, for the call `id`. */
  onProgress(id: number, ...amounts: Parameters<OnProgress>): void;
  /** For the agent's log. */
  onNote(text: string): void;
  /** The answer to a call that took some steps, or slices of work. */
  onAnswer(
    id: number,
    outcome: { readonly result: Result<QueuedMethod> } | { readonly error: unknown },
  ): void;
  /** What others are to compute, or what was computed for them. */
  onStage(message: FromStage): void;
  readonly programs: ProgramHost;
}

/** What models are set up with. */
export interface ModelSetup extends Pick<WorkerSetup, 'kv' | 'clientWeights' | 'coreTypes'>, CpuSettings {
  /**
   * Has the driver's buffers as large as a plan needs them, or as large as any model needs them, while nothing is loaded.
   * @returns what they are now
   */
  readonly useWorking: (plan: WorkingPlan | undefined) => WorkingPlan | undefined;
  /** What the machine has beside DMA memory, asked before each load. */
  readonly systemMemory: () => SystemMemory;
}

type ModelMethod = MethodsOf<'models' | 'generate' | 'metrics'> | 'score';

/** The models on the device, by digest, and what runs on them. */
export class LoadedModels {
  readonly #budgets: ModelBudgets;
  readonly #opening: Omit<OpenModelOptions, 'onProgress' | 'onNote'>;
  readonly #serving: ServeOptions;
  readonly #room: MemoryRoom;
  readonly #useWorking: ModelSetup['useWorking'];
  readonly #events: ModelEvents;
  readonly #loaded = new Map<string, Loaded>();
  readonly #stages: LoadedStages;
  readonly #pins: SessionPins;
  readonly scores: SessionScores;
  readonly #metrics = new EngineMetrics();
  /** Runs templates and the compiler of schemas. */
  readonly programs: ProgramThread;
  /** What is to become tokens before it can be asked of an engine, and the like. */
  readonly texts: TextQueue;
  readonly handlers: DeviceHandlers<ModelMethod>;

  constructor(
    accelerator: () => Accelerator,
    setup: ModelSetup,
    events: ModelEvents,
    now: () => number = () => performance.now(),
  ) {
    const { kv, clientWeights, coreTypes, systemMemory, useWorking, takesRealTime = false } = setup;
    const room = new MemoryRoom(systemMemory);
    this.#room = room;
    this.#useWorking = useWorking;
    this.#budgets = new ModelBudgets({ accelerator, kv, cpu: setup, coreTypes, room });
    this.#opening = { accelerator, budgets: this.#budgets, room, coreTypes, useWorking };
    this.#serving = {
      metrics: this.#metrics,
      weights: clientWeights,
      spill: kv.spill && new SpillFolder(kv.spill.folder, kv.spill.maxBytes),
      cyclesPerMs: () => (takesRealTime ? accelerator().board.description.clockHz / 1_000 : undefined),
      modelOf: (draft) => this.#find(draft).model,
      onEvent: (generation, event) => events.onEvent(generation, event),
      onStage: (message) => events.onStage(message),
    };
    this.#events = events;
    this.#stages = new LoadedStages((message) => events.onStage(message));
    this.#pins = new SessionPins(events);
    this.scores = new SessionScores(events);
    this.programs = new ProgramThread(events.programs, now);
    this.texts = new TextQueue((id, outcome) => events.onAnswer(id, outcome), now);
    this.handlers = this.#createHandlers();
  }

  #createHandlers(): DeviceHandlers<ModelMethod> {
    return {
      ...textHandlers({
        find: (digest) => this.#find(digest),
        texts: this.texts,
        pins: this.#pins,
        programs: this.programs,
      }),
      'models.plan': (params) => this.#budgets.plan(params),
      'models.check': (params) => this.#budgets.check(params, this.#loaded.get(params.model)?.result.memory),
      'models.load': (params, { id }) => this.#load(params, id),
      'models.unload': ({ model, force = false }) => this.#unload(model, force),

      'models.unpin': ({ pin }, { session }) => {
        const pinning = this.texts.end((text) => text.session === session && text.pin === pin);
        for (const { call } of pinning) this.#events.onAnswer(call, { error: pinReleased(pin) });
        if (pinning.length === 0) this.#pins.release(session, pin);
        return {};
      },

      'models.pages': ({ model: digest, since }) => {
        const { pages: index, model } = this.#find(digest);
        const { added, removed, ...held } = model.heldPages(
          since?.index === index ? since.version : undefined,
        );
        return { ...held, index, added: [...added], removed: [...removed] };
      },

      'generate.progress': ({ generation }) => {
        for (const { generations } of this.#loaded.values()) {
          const found = generations.find(generation);
          if (found !== undefined) return { steps: generations.steps, prompt: { ...found.prompt } };
        }
        if (this.#textOf(generation) !== undefined) return { steps: this.texts.slices };
        throw new PynqLlmError('AGENT_GENERATION_UNKNOWN', `Generation ${generation} is not running.`, {
          context: { id: generation },
        });
      },

      // The scores come as an event.
      score: ({ model, tokens, topLogprobs, from = 0, service, client }, { id, session }) => {
        const { engine } = this.#find(model);
        this.scores.start({ session, model, call: id }, (sink) =>
          engine.score(tokens, { topLogprobs, from }, sink, { class: 'batch', ...service, client }),
        );
      },

      'metrics.read': () => readMetrics(this.#metrics, this.#loaded),
    };
  }

  get count(): number {
    return this.#loaded.size + this.#stages.count;
  }

  get hasWork(): boolean {
    for (const { engine, steps } of this.#loaded.values()) if ((steps ?? engine).hasWork) return true;
    return this.#stages.hasWork;
  }

  /** Something was said, or time has passed: what could not begin before may be able to now. */
  nudge(): void {
    for (const { steps } of this.#loaded.values()) steps?.nudge();
  }

  /** Takes what concerns a model of which other boards have layers, too. */
  takeStage(message: ToStage): void {
    const { model, plan } = message;
    const steps = this.#loaded.get(model)?.steps;
    switch (message.kind) {
      case 'stage-begin':
        steps?.begin(plan);
        this.#stages.begin(model, plan);
        return;
      case 'stage-end':
        steps?.end(plan, errorFromWire(message.error));
        this.#stages.end(model, plan);
        return;
      case 'stage-run':
        this.#stages.take(message);
        return;
      case 'stage-hidden':
        steps?.arrive(plan, message);
    }
  }

  /** One step of every model that has work. Errors end what they belong to, nothing else. */
  step(): void {
    this.#stages.step();
    for (const [digest, { engine, generations, steps }] of this.#loaded) {
      if (!(steps ?? engine).hasWork) continue;
      generations.step(steps);
      this.#pins.tellProgress(digest);
      this.scores.tellProgress(digest);
    }
  }

  /**
   * A stage takes the place of what is loaded of its model.
   * @param id of the call, for progress
   * @throws PynqLlmError AGENT_MODEL_LOADED_OTHERWISE, FLEET_STAGE_LOST, GGUF_..., LLM_..., DRIVER_...
   */
  #load(params: DeviceParams<'models.load'>, id: number): Result<'models.load'> {
    const { model: digest, path: _, packed: __, stage, over, ...request } = params;
    const isOver = over && new Int32Array(over);
    const requireWanted = () => {
      if (isOver === undefined || Atomics.load(isOver, 0) === 0) return;
      throw new PynqLlmError('FLEET_STAGE_LOST', 'The plan that its layers were loaded for is over.');
    };
    requireWanted();
    const before = this.#loaded.get(digest) ?? this.#stages.get(digest);
    if (before !== undefined) {
      if (stage === undefined) {
        checkLoadedAs(before.model, request);
        return before.result;
      }
      const isSame =
        isDeepStrictEqual(before.settings, stage) && loadedOtherwise(before.model, request) === undefined;
      if (isSame) return before.result;
      this.#unload(digest, true);
    }
    const options = {
      ...this.#opening,
      onProgress: (...amounts: Parameters<OnProgress>) => {
        this.#events.onProgress(id, ...amounts);
        requireWanted();
      },
      onNote: (text: string) => this.#events.onNote(text),
    };
    return openModel(options, params, (opened) => {
      const { model, lane } = opened;
      if (lane !== undefined && (lane.member > 0 || !model.isLast)) {
        const member = new TensorMember(model, lane);
        this.#stages.add(digest, { ...opened, settings: stage!, stage: followerOf(member) });
      } else if (stage !== undefined && !model.isLast)
        this.#stages.add(digest, { ...opened, settings: stage, stage: new Stage(model) });
      else this.#loaded.set(digest, serveModel(digest, opened, stage, this.#serving));
      return opened.result;
    });
  }

  /**
   * @param force ends what runs on it
   * @throws PynqLlmError AGENT_MODEL_NOT_LOADED, AGENT_MODEL_BUSY
   */
  #unload(digest: string, force: boolean): Result<'models.unload'> {
    const stage = this.#stages.remove(digest);
    if (stage !== undefined) {
      this.#free(digest, stage);
      this.#useWorking(undefined);
      return {};
    }
    const loaded = this.#find(digest);
    if (force) this.#end(digest, loaded);
    const drafts = [...this.#loaded.values()].some(({ generations }) => generations.draftsWith(digest));
    if (loaded.engine.count > 0 || drafts || this.#hasText(digest))
      throw new PynqLlmError(
        'AGENT_MODEL_BUSY',
        'The model generates, scores, computes a prompt to be pinned, or works on a text.',
        {
          context: { model: digest },
        },
      );
    this.#close(digest, loaded);
    this.#useWorking(undefined);
    return {};
  }

  /** Ends what runs and unloads everything. */
  unloadAll(): void {
    for (const [digest, loaded] of [...this.#loaded]) {
      this.#end(digest, loaded);
      this.#close(digest, loaded);
    }
    this.#closeStages();
  }

  close(): void {
    for (const [digest, loaded] of [...this.#loaded]) this.#close(digest, loaded);
    this.#closeStages();
    this.programs.close();
  }

  /**
   * Nobody waits for a session's scores and tokens any more, and what it pinned may go. Its generations may be resumed on
   * another connection.
   */
  endSession(session: number): void {
    const isLost = (text: Text) => text.session === session && text.generation === undefined;
    this.#endTexts(isLost, new PynqLlmError('AGENT_CLOSING', 'Nobody waits for the text.'));
    this.#pins.endSession(session);
    this.scores.endSession(session);
  }

  grant(generation: string, credit: number): void {
    for (const { generations } of this.#loaded.values()) generations.find(generation)?.grant(credit);
    const granted = this.#textOf(generation)?.generation;
    if (granted !== undefined) granted.credit = Math.max(credit, granted.credit);
  }

  cancel(generation: string): void {
    for (const { generations } of this.#loaded.values()) generations.find(generation)?.cancel();
    const ended = this.texts.end((text) => text.generation?.id === generation);
    for (const { call, generation: { replayedTokens } = { replayedTokens: 0 } } of ended) {
      this.#events.onAnswer(call, { result: { promptTokens: 0 } });
      this.#events.onEvent(generation, cancelledAfter(replayedTokens));
    }
  }

  /** The text that a generation's prompt still is. */
  #textOf(generation: string): Text | undefined {
    return this.texts.find((text) => text.generation?.id === generation);
  }

  #hasText(digest: string): boolean {
    return this.texts.find(({ model }) => model === digest) !== undefined;
  }

  #endTexts(isAsked: (text: Text) => boolean, error: PynqLlmError): void {
    for (const { call } of this.texts.end(isAsked)) this.#events.onAnswer(call, { error });
  }

  #find(digest: string): Loaded {
    const loaded = this.#loaded.get(digest);
    if (loaded !== undefined) return loaded;
    const { settings } = this.#stages.get(digest) ?? {};
    if (settings !== undefined)
      throw new PynqLlmError(
        'FLEET_STAGE_ONLY',
        `Of model ${digest} this board has ${settings.rows === undefined ? `layers ${settings.from} to ${settings.to - 1}` : 'some rows'} alone.`,
        { context: { model: digest } },
      );
    throw new PynqLlmError('AGENT_MODEL_NOT_LOADED', `Model ${digest} is not loaded.`, {
      context: { model: digest },
    });
  }

  /** Ends what runs on a model. */
  #end(digest: string, { generations, steps }: Loaded): void {
    this.#endTexts(({ model }) => model === digest, unloaded(digest));
    this.#pins.endModel(digest);
    this.scores.endModel(digest);
    if (steps === undefined) generations.cancelAll();
    else steps.abort(new PynqLlmError('FLEET_STAGE_LOST', 'The board gets other layers of the model.'));
  }

  #close(digest: string, loaded: Loaded): void {
    this.#pins.endModel(digest);
    this.#loaded.delete(digest);
    this.#free(digest, loaded);
  }

  #closeStages(): void {
    for (const digest of this.#stages.digests) {
      const stage = this.#stages.remove(digest);
      if (stage !== undefined) this.#free(digest, stage);
    }
  }

  #free(digest: string, { model, source }: Pick<OpenModel, 'model' | 'source'>): void {
    model.close();
    source.close();
    this.#room.free(digest);
  }
}

/** The end of a generation that was cancelled before its prompt was tokens. */
function cancelledAfter(tokens: number): GenerateEvent {
  const timing = { queuedMs: 0, prefillMs: 0, decodeMs: 0, promptTokens: 0 };
  return {
    type: 'done',
    reason: 'cancelled',
    text: '',
    tokens,
    timing: { ...timing, generatedTokens: tokens, replayedTokens: tokens },
    counters: newCost(),
  };
}

function unloaded(model: string): PynqLlmError {
  return new PynqLlmError('AGENT_MODEL_NOT_LOADED', `Model ${model} was unloaded.`, { context: { model } });
}
