import type { Accelerator } from '../../driver/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { type FileSource, fileSource, openGguf } from '../../gguf/index.js';
import { type Engine, EngineMetrics, loadModel, type Model, newCost, SpillFolder } from '../../llm/index.js';
import type { GenerateEvent, OnProgress, Result } from '../../protocol/index.js';
import type { KvSettings } from '../worker-link/kv-settings.js';
import type { ProgramHost, WorkerSetup } from '../worker-link/messages.js';
import type { DeviceParams, QueuedMethod } from '../worker-link/methods.js';
import type { DeviceHandlers, MethodsOf } from './handlers.js';
import { checkLoadedAs, factsOf } from './model-facts.js';
import { plainPlacement, planModel } from './plan-model.js';
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

type ModelMethod = MethodsOf<'models' | 'generate' | 'metrics'> | 'score';

interface Loaded {
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
  readonly #clientWeights: ReadonlyMap<string, number>;
  readonly #spill: SpillFolder | undefined;
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
    { kv, clientWeights }: Pick<WorkerSetup, 'kv' | 'clientWeights'>,
    events: ModelEvents,
    now: () => number = () => performance.now(),
  ) {
    this.#accelerator = accelerator;
    this.#kv = kv;
    this.#clientWeights = clientWeights;
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
      'models.plan': ({ tensors }) => planModel(this.#accelerator(), tensors),
      'models.load': (params, { id }) => this.#load(params, id),
      'models.unload': ({ model }) => this.#unload(model),

      'models.unpin': ({ pin }, { session }) => {
        const pinning = this.texts.end((text) => text.session === session && text.pin === pin);
        for (const { call } of pinning) this.#events.onAnswer(call, { error: pinReleased(pin) });
        if (pinning.length === 0) this.#pins.release(session, pin);
        return {};
      },

      'generate.progress': ({ generation }) => {
        for (const { generations } of this.#loaded.values())
          if (generations.find(generation) !== undefined) return { steps: generations.steps };
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

  /** @param id of the call, for progress @throws PynqLlmError AGENT_MODEL_LOADED_OTHERWISE, GGUF_..., LLM_..., DRIVER_... */
  #load(
    { model: digest, contextLength, kvType, kvBytes, path, packed }: DeviceParams<'models.load'>,
    id: number,
  ): Result<'models.load'> {
    const before = this.#loaded.get(digest);
    if (before !== undefined) {
      checkLoadedAs(before.model, { contextLength, kvType, kvBytes });
      return before.result;
    }
    const source = fileSource(path);
    let opened: Model | undefined;
    try {
      const model = loadModel(openGguf(source), {
        accelerator: this.#accelerator(),
        contextLength,
        kvType: kvType ?? this.#kv.type,
        kvBytes: kvBytes ?? this.#kv.bytes,
        onProgress: (...amounts) => this.#events.onProgress(id, ...amounts),
        keep: { model: digest, ...packed, say: (note) => this.#events.onNote(note) },
      });
      opened = model;
      const result = {
        facts: factsOf(model),
        placement: plainPlacement(model.placement),
        weights: model.weights,
      };
      const generations = new RunningGenerations(
        model,
        { metrics: this.#metrics, spill: this.#spill, weights: this.#clientWeights },
        (draft) => this.#find(draft).model,
        this.#events.onEvent,
      );
      this.#loaded.set(digest, { model, source, result, engine: generations.engine, generations });
      return result;
    } catch (error) {
      // Its weights may be there and the memory for keys and values not.
      opened?.close();
      source.close();
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
    for (const { call } of this.texts.end((text) => text.generation?.id === generation)) {
      this.#events.onAnswer(call, { result: { promptTokens: 0 } });
      this.#events.onEvent(generation, CANCELLED);
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
  }
}

/** The end of a generation that was cancelled before its prompt was tokens. */
const CANCELLED: GenerateEvent = {
  type: 'done',
  reason: 'cancelled',
  text: '',
  tokens: 0,
  timing: { queuedMs: 0, prefillMs: 0, decodeMs: 0, promptTokens: 0, generatedTokens: 0 },
  counters: newCost(),
};

function unloaded(model: string): PynqLlmError {
  return new PynqLlmError('AGENT_MODEL_NOT_LOADED', `Model ${model} was unloaded.`, { context: { model } });
}
