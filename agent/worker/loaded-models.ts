import type { Accelerator } from '../../driver/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { type FileSource, fileSource, openGguf } from '../../gguf/index.js';
import {
  EngineMetrics,
  type Histogram,
  loadModel,
  type Model,
  newCost,
  SpillFolder,
} from '../../llm/index.js';
import { type GenerateEvent, MAX_PROMPT_TOKENS, type Params, type Result } from '../../protocol/index.js';
import type { KvSettings } from '../worker-link/kv-settings.js';
import type { DeviceCall, ProgramHost, WorkerSetup } from '../worker-link/messages.js';
import type { DeviceParams, QueuedMethod } from '../worker-link/methods.js';
import { checkLoadedAs, factsOf } from './model-facts.js';
import { plainPlacement, planModel } from './plan-model.js';
import { ProgramThread } from './program-thread.js';
import { RunningGenerations } from './running-generations.js';
import { pinReleased, SessionPins } from './session-pins.js';
import { SessionScores } from './session-scores.js';
import { type Text, TextQueue } from './text-queue.js';
import {
  chatTokens,
  lengthOfMessages,
  lengthOfPrompt,
  piecesOf,
  promptTokens,
  textOf,
  textTokens,
} from './text-work.js';

/** What models tell while they work. */
export interface ModelEvents {
  onEvent(generation: string, event: GenerateEvent): void;
  /** Bytes of weights loaded, or tokens scored or of a prompt to be pinned, for the call `id`. */
  onProgress(id: number, done: number, total: number): void;
  /** The answer to a call that took some steps, or slices of work. */
  onAnswer(
    id: number,
    outcome: { readonly result: Result<QueuedMethod> } | { readonly error: unknown },
  ): void;
  readonly programs: ProgramHost;
}

/** Which call of which session. */
type Caller = Pick<DeviceCall, 'id' | 'session'>;

interface Loaded {
  readonly model: Model;
  readonly source: FileSource;
  readonly result: Result<'models.load'>;
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
  readonly #scores: SessionScores;
  readonly #metrics = new EngineMetrics();
  readonly #programs: ProgramThread;
  /** What is to become tokens before it can be asked of an engine, and the like. */
  readonly texts: TextQueue;

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
    this.#scores = new SessionScores(events);
    this.#programs = new ProgramThread(events.programs, now);
    this.texts = new TextQueue((id, outcome) => events.onAnswer(id, outcome), now);
  }

  get count(): number {
    return this.#loaded.size;
  }

  get hasWork(): boolean {
    for (const { generations } of this.#loaded.values()) if (generations.hasWork) return true;
    return false;
  }

  /** One step of every model that has work. Errors end what they belong to, nothing else. */
  step(): void {
    for (const [digest, { generations }] of this.#loaded) {
      if (!generations.hasWork) continue;
      generations.step();
      this.#pins.tellProgress(digest);
      this.#scores.tellProgress(digest);
    }
  }

  plan(params: Params<'models.plan'>): Result<'models.plan'> {
    return planModel(this.#accelerator(), params.tensors);
  }

  /** @param id of the call, for progress @throws PynqLlmError AGENT_MODEL_LOADED_OTHERWISE, GGUF_..., LLM_..., DRIVER_... */
  load(
    { model: digest, contextLength, kvType, kvBytes, path }: DeviceParams<'models.load'>,
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
        onProgress: (done, total) => this.#events.onProgress(id, done, total),
      });
      opened = model;
      const result = { facts: factsOf(model), placement: plainPlacement(model.placement) };
      const generations = new RunningGenerations(
        model,
        { metrics: this.#metrics, spill: this.#spill, weights: this.#clientWeights },
        (draft) => this.#find(draft).model,
        this.#events.onEvent,
      );
      this.#loaded.set(digest, { model, source, result, generations });
      return result;
    } catch (error) {
      // Its weights may be there and the memory for keys and values not.
      opened?.close();
      source.close();
      throw error;
    }
  }

  /** @throws PynqLlmError AGENT_MODEL_NOT_LOADED, AGENT_MODEL_BUSY */
  unload({ model: digest }: Params<'models.unload'>): Result<'models.unload'> {
    const loaded = this.#find(digest);
    const drafts = [...this.#loaded.values()].some(({ generations }) => generations.draftsWith(digest));
    if (loaded.generations.count > 0 || drafts || this.#hasText(digest))
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
      this.#scores.endModel(digest);
      loaded.generations.cancelAll();
      this.#close(digest, loaded);
    }
  }

  close(): void {
    for (const [digest, loaded] of [...this.#loaded]) this.#close(digest, loaded);
    this.#programs.close();
  }

  /** A thread for templates and schemas ended by itself. */
  onProgramsEnded(thread: number, reason: string): void {
    this.#programs.onEnded(thread, reason);
  }

  tokenize(params: DeviceParams<'models.tokenize'>, caller: Caller): undefined {
    const { model, text, client, ...options } = params;
    const { tokenizer } = this.#find(model).model;
    const { parseSpecial = false, addSpecial = true } = options;
    return this.#addText(caller, { client, model, length: text.length }, function* () {
      return { tokens: yield* textTokens(tokenizer, text, { parseSpecial, addSpecial }, MAX_PROMPT_TOKENS) };
    });
  }

  detokenize({ model, tokens, client }: DeviceParams<'models.detokenize'>, caller: Caller): undefined {
    const { tokenizer } = this.#find(model).model;
    return this.#addText(caller, { client, model, length: tokens.length }, function* () {
      return { text: yield* textOf(tokenizer, tokens) };
    });
  }

  pieces({ model, tokens, client }: DeviceParams<'models.pieces'>, caller: Caller): undefined {
    const { tokenizer } = this.#find(model).model;
    return this.#addText(caller, { client, model, length: tokens.length }, function* () {
      return { pieces: yield* piecesOf(tokenizer, tokens) };
    });
  }

  applyTemplate(params: DeviceParams<'models.applyTemplate'>, caller: Caller): undefined {
    const { model: digest, messages, addGenerationPrompt = true, client } = params;
    const { tokenizer } = this.#find(digest).model;
    const programs = this.#programs.of(client);
    return this.#addText(caller, { client, model: digest, length: lengthOfMessages(messages) }, function* () {
      const most = MAX_PROMPT_TOKENS;
      return { tokens: yield* chatTokens(tokenizer, messages, addGenerationPrompt, programs, most) };
    });
  }

  generate(params: DeviceParams<'generate.start'>, caller: Caller): undefined {
    const { generation, model: digest, prompt, sampling, client } = params;
    const { model, generations } = this.#find(digest);
    const service = { ...params.service, client };
    const programs = this.#programs.of(client);
    const granted = { id: generation, limit: 0 };
    const left = timeLeft(service.deadlineMs);
    return this.#addText(
      caller,
      { client, model: digest, generation: granted, length: lengthOfPrompt(prompt) },
      function* () {
        const tokens = yield* promptTokens(model, prompt, true, programs);
        const { responseFormat } = sampling;
        if (responseFormat !== undefined)
          yield* model.constraints.prepare(responseFormat, (schema) => programs.ask('schema', schema));
        generations.start(generation, tokens, sampling, { ...service, deadlineMs: left() });
        generations.grant(generation, granted.limit);
        return { promptTokens: tokens.length };
      },
      service.deadlineMs,
    );
  }

  /** The answer comes as an event, once the prompt is computed. */
  pin(params: DeviceParams<'models.pin'>, caller: Caller): undefined {
    const { pin, model: digest, prompt, client } = params;
    const { model, generations } = this.#find(digest);
    const { id: call, session } = caller;
    const service = { ...params.service, client };
    const programs = this.#programs.of(client);
    const pins = this.#pins;
    pins.checkNew(session, pin);
    const left = timeLeft(service.deadlineMs);
    return this.#addText(
      caller,
      { client, model: digest, pin, length: lengthOfPrompt(prompt) },
      function* () {
        const tokens = yield* promptTokens(model, prompt, false, programs);
        pins.start({ session, pin, model: digest, call }, (sink) =>
          generations.pin(tokens, sink, { ...service, deadlineMs: left() }),
        );
        return undefined;
      },
      service.deadlineMs,
    );
  }

  /** @throws PynqLlmError AGENT_PIN_UNKNOWN */
  unpin({ pin }: Params<'models.unpin'>, session: number): Result<'models.unpin'> {
    const pinning = this.texts.end((text) => text.session === session && text.pin === pin);
    for (const { call } of pinning) this.#events.onAnswer(call, { error: pinReleased(pin) });
    if (pinning.length === 0) this.#pins.release(session, pin);
    return {};
  }

  /** @throws PynqLlmError AGENT_GENERATION_UNKNOWN */
  progress({ generation }: Params<'generate.progress'>): Result<'generate.progress'> {
    for (const { generations } of this.#loaded.values())
      if (generations.has(generation)) return { steps: generations.steps };
    if (this.#textOf(generation) !== undefined) return { steps: this.texts.slices };
    throw new PynqLlmError('AGENT_GENERATION_UNKNOWN', `Generation ${generation} is not running.`, {
      context: { id: generation },
    });
  }

  /** What all generations since the device was opened had to wait, and what there is now. */
  readMetrics(): Result<'metrics.read'> {
    const { classes, steps, columns, faults, recovered } = this.#metrics;
    const read = ({ queueMs, firstTokenMs, betweenTokensMs, occupancy, ...counts }: ClassMetrics) => ({
      ...counts,
      queueMs: plainHistogram(queueMs),
      firstTokenMs: plainHistogram(firstTokenMs),
      betweenTokensMs: plainHistogram(betweenTokensMs),
      occupancy: plainHistogram(occupancy),
    });
    const { interactive, batch } = classes;
    return {
      classes: { interactive: read(interactive), batch: read(batch) },
      steps,
      columns,
      faults,
      recovered,
      models: [...this.#loaded].map(([digest, { model, generations }]) => ({
        model: digest,
        name: model.config.name,
        sequences: generations.status(),
        ...(model.kvStats === undefined ? {} : { kv: model.kvStats }),
      })),
    };
  }

  /** The scores come as an event. @param caller whose end ends it */
  score(params: DeviceParams<'score'>, { id, session }: Caller): undefined {
    const { model, tokens, top, from = 0, service, client } = params;
    const { generations } = this.#find(model);
    this.#scores.start({ session, model, call: id }, (sink) =>
      generations.score(tokens, { top, from }, sink, { class: 'batch', ...service, client }),
    );
  }

  /** Nobody waits for the scores of this call. */
  cancelScore(call: number): void {
    this.#scores.cancel(call);
  }

  /**
   * Nobody waits for a session's scores and tokens any more, and what it pinned may go. Its generations may be resumed on
   * another connection.
   */
  endSession(session: number): void {
    const isLost = (text: Text) => text.session === session && text.generation === undefined;
    this.#endTexts(isLost, new PynqLlmError('AGENT_CLOSING', 'Nobody waits for the text.'));
    this.#pins.endSession(session);
    this.#scores.endSession(session);
  }

  grant(generation: string, limit: number): void {
    for (const { generations } of this.#loaded.values()) generations.grant(generation, limit);
    const granted = this.#textOf(generation)?.generation;
    if (granted !== undefined) granted.limit = Math.max(limit, granted.limit);
  }

  cancel(generation: string): void {
    for (const { generations } of this.#loaded.values()) generations.cancel(generation);
    for (const { call } of this.texts.end((text) => text.generation?.id === generation)) {
      this.#events.onAnswer(call, { result: { promptTokens: 0 } });
      this.#events.onEvent(generation, CANCELLED);
    }
  }

  #addText(
    { id, session }: Caller,
    what: Pick<Text, 'client' | 'model' | 'generation' | 'pin' | 'length'>,
    work: () => Text['work'],
    deadlineMs?: number,
  ): undefined {
    return this.texts.add({ call: id, session, deadlineMs, work: work(), ...what });
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

type ClassMetrics = EngineMetrics['classes']['batch'];

function plainHistogram({ bounds, counts, sum }: Histogram) {
  return { bounds: [...bounds], counts: [...counts], sum };
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

/** What is left of a time that begins now, at least a bit of it. */
function timeLeft(deadlineMs: number | undefined): () => number | undefined {
  const start = performance.now();
  return () => deadlineMs && Math.max(1, deadlineMs - (performance.now() - start));
}

function unloaded(model: string): PynqLlmError {
  return new PynqLlmError('AGENT_MODEL_NOT_LOADED', `Model ${model} was unloaded.`, { context: { model } });
}
