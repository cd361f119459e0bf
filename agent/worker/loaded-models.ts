import { randomBytes } from 'node:crypto';
import type { Accelerator } from '../../driver/index.js';
import { emptyMemory } from '../../driver/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { type FileSource, fileSource, openGguf } from '../../gguf/index.js';
import {
  budgetMemory,
  type CoreTypesSetting,
  checkContextLength,
  checkCoreTypes,
  checkModel,
  chooseForms,
  type Engine,
  EngineMetrics,
  loadModel,
  type MemoryBudget,
  type MemoryRequest,
  type Model,
  type ModelShape,
  modelShape,
  newCost,
  requireMemory,
  SpillFolder,
  type SystemMemory,
} from '../../llm/index.js';
import type { GenerateEvent, OnProgress, Result } from '../../protocol/index.js';
import type { KvSettings } from '../worker-link/kv-settings.js';
import type { ProgramHost, WorkerSetup } from '../worker-link/messages.js';
import type { DeviceParams, QueuedMethod } from '../worker-link/methods.js';
import { type CpuPart, type CpuSettings, chooseCpuPart } from './cpu-part.js';
import type { DeviceHandlers, MethodsOf } from './handlers.js';
import { MemoryRoom } from './memory-room.js';
import { checkLoadedAs, factsOf } from './model-facts.js';
import { plainBudget, plainPlacement, planModel, shapeOf } from './plan-model.js';
import { ProgramThread } from './program-thread.js';
import { readMetrics } from './read-metrics.js';
import { RunningGenerations } from './running-generations.js';
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
  readonly programs: ProgramHost;
}

/** What models are set up with. */
export interface ModelSetup extends Pick<WorkerSetup, 'kv' | 'clientWeights' | 'coreTypes'>, CpuSettings {
  /** What the machine has beside DMA memory, asked before each load. */
  readonly systemMemory: () => SystemMemory;
}

type ModelMethod = MethodsOf<'models' | 'generate' | 'metrics'> | 'score';

interface Loaded {
  /** Another one each time that a model is loaded: versions of its pages begin anew. */
  readonly pages: string;
  readonly model: Model;
  readonly source: FileSource;
  readonly result: Result<'models.load'>;
  readonly engine: Engine;
  readonly generations: RunningGenerations;
}

/** The models on the device, by digest, and what runs on them. */
export class LoadedModels {
  readonly #accelerator: () => Accelerator;
  readonly #kv: KvSettings;
  readonly #cpu: CpuSettings;
  readonly #coreTypes: CoreTypesSetting | undefined;
  readonly #clientWeights: ReadonlyMap<string, number>;
  readonly #spill: SpillFolder | undefined;
  readonly #room: MemoryRoom;
  readonly #events: ModelEvents;
  readonly #loaded = new Map<string, Loaded>();
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
    const { kv, clientWeights, coreTypes, systemMemory } = setup;
    this.#coreTypes = coreTypes;
    this.#accelerator = accelerator;
    this.#kv = kv;
    this.#cpu = setup;
    this.#clientWeights = clientWeights;
    this.#room = new MemoryRoom(systemMemory);
    this.#spill = kv.spill && new SpillFolder(kv.spill.folder, kv.spill.maxBytes);
    this.#events = events;
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
      'models.plan': (params) => this.#plan(params),
      'models.check': (params) => this.#check(params),
      'models.load': (params, { id }) => this.#load(params, id),
      'models.unload': ({ model }) => this.#unload(model),

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
    return this.#loaded.size;
  }

  get hasWork(): boolean {
    for (const { engine } of this.#loaded.values()) if (engine.hasWork) return true;
    return false;
  }

  /** One step of every model that has work. Errors end what they belong to, nothing else. */
  step(): void {
    for (const [digest, { engine, generations }] of this.#loaded) {
      if (!engine.hasWork) continue;
      generations.step();
      this.#pins.tellProgress(digest);
      this.scores.tellProgress(digest);
    }
  }

  /** Where a model would go and what it would take. @throws PynqLlmError LLM_CONTEXT_LENGTH, LLM_KV_TYPE, where asked LLM_MEMORY_... */
  #plan({
    tensors,
    model,
    alone = false,
    refuse = false,
    ...request
  }: DeviceParams<'models.plan'>): Result<'models.plan'> {
    const accelerator = this.#accelerator();
    const coreTypes = request.coreTypes ?? this.#coreTypes;
    const { description } = accelerator.board;
    const placement = () =>
      planModel((matrices) => accelerator.plan(matrices), tensors, description, coreTypes);
    if (model === undefined) return placement();
    const { budget } = this.#cpuPart(shapeOf(model, tensors), request, alone);
    if (refuse) requireMemory(budget);
    return { ...placement(), memory: plainBudget(budget) };
  }

  #cpuPart(model: ModelShape, request: MemoryRequest, alone: boolean): CpuPart {
    checkContextLength(model, request.contextLength);
    const accelerator = this.#accelerator();
    const { description } = accelerator.board;
    const coreTypes = checkCoreTypes(request.coreTypes ?? this.#coreTypes);
    const matrices = () => chooseForms(description, model.matrices, coreTypes).map(({ shape }) => shape);
    return chooseCpuPart(
      this.#cpu,
      matrices,
      (shapes) => accelerator.plan(shapes),
      description,
      (part) => this.#budget(model, { ...request, ...part, coreTypes }, alone),
    );
  }

  /** @param alone with nothing else on the board, else beside what is loaded */
  #budget(model: ModelShape, request: MemoryRequest, alone: boolean): MemoryBudget {
    const { board } = this.#accelerator();
    const { description } = board;
    return budgetMemory({
      model,
      board: { description, dma: alone ? emptyMemory(description) : board.dmaMemory() },
      system: alone ? this.#room.alone() : this.#room.left(),
      request: {
        ...request,
        kvType: request.kvType ?? this.#kv.type,
        kvBytes: request.kvBytes ?? this.#kv.bytes,
      },
    });
  }

  /**
   * What loading would check, and say of the memory as it is now. Of a model that is loaded, what it took.
   * @throws PynqLlmError as `#load`, before it takes memory
   */
  #check({ model, path, ...request }: DeviceParams<'models.check'>): Result<'models.check'> {
    using source = fileSource(path);
    const gguf = openGguf(source);
    const assumed = [...checkModel(gguf).assumed];
    const loaded = this.#loaded.get(model)?.result.memory;
    if (loaded !== undefined) return { assumed, memory: loaded };
    const { budget } = this.#cpuPart(modelShape(gguf), request, false);
    requireMemory(budget);
    return { assumed, memory: plainBudget(budget) };
  }

  /**
   * Nothing is allocated before the model is known to fit.
   * @param id of the call, for progress
   * @throws PynqLlmError AGENT_MODEL_LOADED_OTHERWISE, GGUF_..., LLM_..., DRIVER_...
   */
  #load(
    { model: digest, path, packed, ...request }: DeviceParams<'models.load'>,
    id: number,
  ): Result<'models.load'> {
    const before = this.#loaded.get(digest);
    if (before !== undefined) {
      checkLoadedAs(before.model, request);
      return before.result;
    }
    const source = fileSource(path);
    let opened: Model | undefined;
    try {
      const gguf = openGguf(source);
      const { budget, threads, rows } = this.#cpuPart(modelShape(gguf), request, false);
      requireMemory(budget);
      this.#room.promise(digest, budget.system.need);
      const { kvType, kvBytes, maxColumns } = budget;
      const model = loadModel(gguf, {
        accelerator: this.#accelerator(),
        contextLength: request.contextLength,
        kvType,
        kvBytes,
        maxColumns,
        coreTypes: request.coreTypes ?? this.#coreTypes,
        threads,
        cpuRows: rows.size === 0 ? undefined : ({ name }) => rows.get(name) ?? 0,
        onProgress: (...amounts) => this.#events.onProgress(id, ...amounts),
        keep: { model: digest, ...packed, say: (note) => this.#events.onNote(note) },
      });
      opened = model;
      const result = {
        facts: factsOf(model),
        placement: plainPlacement(model.placement),
        memory: plainBudget(budget),
        weights: model.weights,
      };
      const generations = new RunningGenerations(
        model,
        {
          metrics: this.#metrics,
          spill: this.#spill,
          weights: this.#clientWeights,
          cyclesPerMs: this.#cpu.takesRealTime
            ? this.#accelerator().board.description.clockHz / 1_000
            : undefined,
        },
        (draft) => this.#find(draft).model,
        this.#events.onEvent,
      );
      const { engine } = generations;
      const pages = randomBytes(8).toString('hex');
      this.#loaded.set(digest, { pages, model, source, result, engine, generations });
      return result;
    } catch (error) {
      // Its weights may be there and the memory for keys and values not.
      opened?.close();
      source.close();
      this.#room.free(digest);
      throw error;
    }
  }

  /** @throws PynqLlmError AGENT_MODEL_NOT_LOADED, AGENT_MODEL_BUSY */
  #unload(digest: string): Result<'models.unload'> {
    const loaded = this.#find(digest);
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
    return {};
  }

  /** Ends what runs and unloads everything. */
  unloadAll(): void {
    for (const [digest, loaded] of [...this.#loaded]) {
      this.#endTexts(({ model }) => model === digest, unloaded(digest));
      this.#pins.endModel(digest);
      this.scores.endModel(digest);
      loaded.generations.cancelAll();
      this.#close(digest, loaded);
    }
  }

  close(): void {
    for (const [digest, loaded] of [...this.#loaded]) this.#close(digest, loaded);
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
    throw new PynqLlmError('AGENT_MODEL_NOT_LOADED', `Model ${digest} is not loaded.`, {
      context: { model: digest },
    });
  }

  #close(digest: string, { model, source }: Loaded): void {
    this.#pins.endModel(digest);
    this.#loaded.delete(digest);
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
