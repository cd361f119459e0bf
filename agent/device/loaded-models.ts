import type { Accelerator } from '../../driver/accelerator.js';
import { PynqLlmError } from '../../errors/index.js';
import { type FileSource, fileSource, openGguf } from '../../gguf/index.js';
import { CHAT_ROLES, type ChatMessage, ChatTemplate } from '../../llm/chat-template.js';
import { SpillFolder } from '../../llm/kv/spill-folder.js';
import { loadModel } from '../../llm/load-model.js';
import type { Model } from '../../llm/model.js';
import { EngineMetrics, type Histogram } from '../../llm/scheduling/index.js';
import type { GenerateEvent, ModelFacts, Params, Result } from '../../protocol/index.js';
import type { KvSettings } from '../kv-settings.js';
import type { DeviceParams, WorkerSetup } from './messages.js';
import { plainPlacement, planModel } from './plan-model.js';
import { RunningGenerations } from './running-generations.js';
import { SessionPins } from './session-pins.js';
import { SessionScores } from './session-scores.js';

const NO_BYTES = new Uint8Array();

/** What models tell while they work. */
export interface ModelEvents {
  onEvent(generation: string, event: GenerateEvent): void;
  /** Bytes of weights loaded, or tokens scored or of a prompt to be pinned, for the call `id`. */
  onProgress(id: number, done: number, total: number): void;
  /** The answer to a call that took some steps. */
  onAnswer(
    id: number,
    outcome: { readonly result: Result<'score' | 'models.pin'> } | { readonly error: unknown },
  ): void;
}

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

  constructor(
    accelerator: () => Accelerator,
    { kv, clientWeights }: Pick<WorkerSetup, 'kv' | 'clientWeights'>,
    events: ModelEvents,
  ) {
    this.#accelerator = accelerator;
    this.#kv = kv;
    this.#clientWeights = clientWeights;
    this.#spill = kv.spill && new SpillFolder(kv.spill.folder, kv.spill.maxBytes);
    this.#events = events;
    this.#pins = new SessionPins(events);
    this.#scores = new SessionScores(events);
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
    if (loaded.generations.count > 0 || drafts)
      throw new PynqLlmError(
        'AGENT_MODEL_BUSY',
        'The model generates, scores or computes a prompt to be pinned.',
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
      this.#pins.endModel(digest);
      this.#scores.endModel(digest);
      loaded.generations.cancelAll();
      this.#close(digest, loaded);
    }
  }

  close(): void {
    for (const [digest, loaded] of [...this.#loaded]) this.#close(digest, loaded);
  }

  tokenize({ model, text, ...options }: Params<'models.tokenize'>): Result<'models.tokenize'> {
    return { tokens: this.#find(model).model.tokenizer.encode(text, defined(options)) };
  }

  detokenize({ model, tokens }: Params<'models.detokenize'>): Result<'models.detokenize'> {
    return { text: this.#find(model).model.tokenizer.decode(tokens) };
  }

  pieces({ model, tokens }: Params<'models.pieces'>): Result<'models.pieces'> {
    const { tokenizer } = this.#find(model).model;
    return { pieces: tokens.map((id) => (tokenizer.isHidden(id) ? NO_BYTES : tokenizer.pieceBytes(id))) };
  }

  applyTemplate(params: Params<'models.applyTemplate'>): Result<'models.applyTemplate'> {
    const { model } = this.#find(params.model);
    return { tokens: encodeChat(model, params.messages, params.addGenerationPrompt ?? true) };
  }

  generate(params: DeviceParams<'generate.start'>): Result<'generate.start'> {
    const { model, generations } = this.#find(params.model);
    const tokens = promptTokens(model, params.prompt, true);
    const service = { ...params.service, client: params.client };
    generations.start(params.generation, tokens, params.sampling, service);
    return { promptTokens: tokens.length };
  }

  /** The answer comes as an event. @param id of the call @param session whose end ends it */
  pin(params: DeviceParams<'models.pin'>, id: number, session: number): undefined {
    const { pin, model: digest, prompt, service, client } = params;
    const { model, generations } = this.#find(digest);
    const tokens = promptTokens(model, prompt, false);
    this.#pins.start({ session, pin, model: digest, call: id }, (sink) =>
      generations.pin(tokens, sink, { ...service, client }),
    );
  }

  /** @throws PynqLlmError AGENT_PIN_UNKNOWN */
  unpin({ pin }: Params<'models.unpin'>, session: number): Result<'models.unpin'> {
    this.#pins.release(session, pin);
    return {};
  }

  /** @throws PynqLlmError AGENT_GENERATION_UNKNOWN */
  progress({ generation }: Params<'generate.progress'>): Result<'generate.progress'> {
    for (const { generations } of this.#loaded.values())
      if (generations.has(generation)) return { steps: generations.steps };
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

  /** The scores come as an event. @param id of the call @param session whose end ends it */
  score(params: DeviceParams<'score'>, id: number, session: number): undefined {
    const { model, tokens, top, from = 0, service, client } = params;
    const { generations } = this.#find(model);
    this.#scores.start({ session, model, call: id }, (sink) =>
      generations.score(tokens, { top, from }, sink, {
        class: 'batch',
        ...service,
        client,
      }),
    );
  }

  /** Nobody waits for the scores of this call. */
  cancelScore(call: number): void {
    this.#scores.cancel(call);
  }

  /** Nobody waits for a session's scores any more, and what it pinned may go. */
  endSession(session: number): void {
    this.#pins.endSession(session);
    this.#scores.endSession(session);
  }

  grant(generation: string, limit: number): void {
    for (const { generations } of this.#loaded.values()) generations.grant(generation, limit);
  }

  cancel(generation: string): void {
    for (const { generations } of this.#loaded.values()) generations.cancel(generation);
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

function promptTokens(
  model: Model,
  prompt: Params<'generate.start'>['prompt'],
  addGenerationPrompt: boolean,
): number[] {
  if ('tokens' in prompt) return prompt.tokens;
  if ('messages' in prompt) return encodeChat(model, prompt.messages, addGenerationPrompt);
  return model.tokenizer.encode(prompt.text, defined({ parseSpecial: prompt.parseSpecial }));
}

/** @throws PynqLlmError LLM_CHAT_... */
function encodeChat(
  model: Model,
  messages: readonly { readonly role: string; readonly content: string }[],
  addGenerationPrompt: boolean,
): number[] {
  return new ChatTemplate(model.tokenizer).encode(messages.map(toChatMessage), addGenerationPrompt);
}

function toChatMessage({ role, content }: { readonly role: string; readonly content: string }): ChatMessage {
  const known = CHAT_ROLES.find((one) => one === role);
  if (known !== undefined) return { role: known, content };
  throw new PynqLlmError(
    'LLM_CHAT_MESSAGES',
    `"${role}" is no role of a message; ${CHAT_ROLES.join(', ')} are.`,
  );
}

/** Settings that are asked for have to be those that the model is loaded with. @throws PynqLlmError AGENT_MODEL_LOADED_OTHERWISE */
function checkLoadedAs(
  { contextLength, kvPool }: Model,
  asked: Pick<Params<'models.load'>, 'contextLength' | 'kvType' | 'kvBytes'>,
): void {
  const loaded = { contextLength, kvType: kvPool.stats.type, kvBytes: kvPool.askedBytes };
  for (const name of ['contextLength', 'kvType', 'kvBytes'] as const) {
    if (asked[name] === undefined || asked[name] === loaded[name]) continue;
    throw new PynqLlmError(
      'AGENT_MODEL_LOADED_OTHERWISE',
      `The model is loaded with ${name} ${loaded[name]}, not ${asked[name]}.`,
      { context: { loaded: loaded[name], asked: asked[name] } },
    );
  }
}

function factsOf({ config, contextLength, kvPool, tokenizer }: Model): ModelFacts {
  const { type, bytes } = kvPool.stats;
  return {
    name: config.name,
    layers: config.layers,
    embeddingLength: config.embedding,
    feedForwardLength: config.feedForward,
    heads: config.heads,
    keyValueHeads: config.kvHeads,
    vocabularySize: config.vocabSize,
    trainedContextLength: config.trainedContext,
    contextLength,
    keyValues: { type, bytes, tokens: kvPool.maxTokens },
    hasChatTemplate: tokenizer.chatTemplate !== undefined,
    ...(tokenizer.addsBos && tokenizer.bosId !== undefined ? { bosToken: tokenizer.bosId } : {}),
  };
}

/** Options without those that are undefined, for functions that tell the two apart. */
function defined<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
