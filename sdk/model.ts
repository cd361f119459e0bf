import { z } from 'zod';
import { isPynqLlmError, PynqLlmError } from '../errors/index.js';
import type {
  ChatMessage,
  Conversation,
  CoreTypes,
  KvType,
  MemoryBudget,
  ModelFacts,
  OnProgress,
  ScoreResult,
  ServiceOptions,
  StoredModel,
  WeightOrigins,
  WirePlacementReport,
} from '../protocol/index.js';
import { callback, listOf, milliseconds, optionsOf, requireArguments, signal } from './arguments.js';
import { askAgain } from './broken.js';
import type { CallOptions, Connection } from './connection.js';
import { toWireConversation } from './conversation.js';
import { Generation, type GenerationOptions, type Prompt } from './generation.js';
import { Pin, type PinOptions } from './pin.js';
import { requestWithProgress } from './progress-request.js';
import { toWireService } from './service.js';

/** How a model is loaded; the agent's settings unless given. */
export interface LoadSettings {
  /** Tokens that a sequence may have; what the model was made for unless given. */
  readonly contextLength?: number | undefined;
  /** How keys and values are kept. */
  readonly kvType?: KvType | undefined;
  /** Bytes for keys and values of all sequences; from what is left of the board's memory unless given. */
  readonly kvBytes?: number | undefined;
  /** Columns that go through the matrices together, 1 to 64: fewer take less memory; 64 unless given. */
  readonly maxColumns?: number | undefined;
  /**
   * Which matrices go to the core: `exact`, those of types and rows that it takes as they are, for llama.cpp's results; `padded`, also
   * those of rows that are no whole super-blocks, in types that keep nearly all of their precision; `all`, whatever can be made a type that it takes.
   */
  readonly coreTypes?: CoreTypes | undefined;
  /**
   * Whether weights that find no DMA memory may be read from storage for each step. Without it a model that has such is
   * refused on a board (`LLM_MEMORY_DMA`); on a mock, where they cost nothing, it is loaded.
   */
  readonly staged?: boolean | undefined;
}

/** How a model is loaded, and who is told how far it is. */
export interface LoadOptions extends LoadSettings {
  /** Told how many bytes of weights are loaded. */
  readonly onProgress?: OnProgress | undefined;
  /** Gives up waiting; the model may be loaded nevertheless. */
  readonly signal?: AbortSignal | undefined;
}

/** How a text is scored. Batch work unless `class` says otherwise. */
export interface PerplexityOptions extends CallOptions, ServiceOptions {
  /** Told how many tokens are scored. */
  readonly onProgress?: OnProgress | undefined;
}

/** What is reported of scores. Batch work unless `class` says otherwise. */
export interface ScoreOptions extends PerplexityOptions {
  /** Likeliest next tokens to report after each position, 0 to 64; 0 unless given. */
  readonly topLogprobs?: number | undefined;
  /** Only positions from here on are reported; all, from 0, unless given. */
  readonly from?: number | undefined;
}

/** How well a model predicts a text. */
export interface Perplexity {
  /** exp(-meanLogprob) */
  readonly perplexity: number;
  /** Mean natural logarithm of the probability of each scored token. */
  readonly meanLogprob: number;
  /** Tokens that were scored. */
  readonly tokens: number;
  /** Windows of the context length that the text was cut into. */
  readonly windows: number;
}

/** What of special tokens becomes of a text. */
export interface TokenizeOptions {
  /** Whether special tokens written in the text are taken as such; no unless told. */
  readonly parseSpecial?: boolean;
  /** Whether the tokens that the model wants before and after a text (BOS, EOS) are added; yes unless told. */
  readonly addSpecial?: boolean;
}

/** How a continuation is generated. */
export interface GenerateOptions extends Omit<GenerationOptions, 'draftModel'> {
  /** A smaller model of the same vocabulary that drafts: the same tokens, in fewer steps of this one. */
  readonly draftModel?: Model | undefined;
}

const requestOptions = optionsOf({ timeoutMs: milliseconds, signal, onProgress: callback });
const PIN = z.object({ options: requestOptions });
const SCORE = z.object({ tokens: listOf('token ids'), options: requestOptions });
const PERPLEXITY = z.object({ text: z.string(), options: requestOptions });
const TOKENIZE = z.object({ text: z.string(), options: optionsOf({}) });
const TOKENS = z.object({ tokens: listOf('token ids') });
const MESSAGES = z.object({ messages: listOf('messages') });
const GENERATE = z.object({
  options: optionsOf({
    signal,
    stallMs: milliseconds,
    draftModel: z.custom((value) => value instanceof Model, 'must be a loaded model').optional(),
    continueFrom: listOf('token ids').optional(),
  }),
});

interface Loaded {
  readonly facts: ModelFacts;
  readonly memory?: MemoryBudget | undefined;
  readonly placement: WirePlacementReport;
  readonly weights?: WeightOrigins | undefined;
}

/** A model on the board, loaded. Should the board have lost it, it is loaded again at the next use. */
export class Model {
  /** Which model it is: 64 hexadecimal digits. */
  readonly digest: string;
  readonly #connection: Connection;
  readonly #options: LoadOptions;
  #loaded: Loaded;

  private constructor(connection: Connection, digest: string, options: LoadOptions, loaded: Loaded) {
    this.#connection = connection;
    this.digest = digest;
    this.#options = options;
    this.#loaded = loaded;
  }

  /** Loads a stored model; one that is loaded already is taken as it is. */
  static async load(connection: Connection, digest: string, options: LoadOptions): Promise<Model> {
    return new Model(connection, digest, options, await requestLoad(connection, digest, options));
  }

  /** What the model is. */
  get info(): ModelFacts {
    return this.#loaded.facts;
  }

  /** Where each weight tensor is computed, and why. */
  get placement(): WirePlacementReport {
    return this.#loaded.placement;
  }

  /** What it takes of the board's memory; undefined with agents that do not say. */
  get memory(): MemoryBudget | undefined {
    return this.#loaded.memory;
  }

  /** Where the core's weights came from when the model was loaded, if the agent says so. */
  get weights(): WeightOrigins | undefined {
    return this.#loaded.weights;
  }

  /**
   * Generates a continuation. Returns at once; iterate the result for its tokens.
   * @throws PynqLlmError SDK_ARGUMENT, at once
   * @throws PynqLlmError (from the loop and from `done`) LLM_..., DRIVER_..., AGENT_..., SDK_CONNECTION_LOST
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): Generation {
    requireArguments({ options }, GENERATE);
    const { draftModel, ...own } = options;
    const reload = async () => {
      await this.#reload();
      if (draftModel !== undefined) await draftModel.#reload();
    };
    const all = { ...own, ...(draftModel === undefined ? {} : { draftModel: draftModel.digest }) };
    return new Generation(this.#connection, this.digest, prompt, all, reload);
  }

  /**
   * Keeps the keys and values of a prompt's beginning in the board's memory: prompts that begin with the same tokens are
   * computed from there on, whatever else needs room. Whole pages of 16 tokens are kept, none of a shorter prompt.
   * Resolves once they are computed; lasts until it is released, the client closes or the model is unloaded.
   * @throws PynqLlmError LLM_KV_PINNED, LLM_PROMPT_..., LLM_OVERLOADED, AGENT_PIN_QUOTA, DRIVER_...
   */
  async pin(prompt: Prompt, options: PinOptions = {}): Promise<Pin> {
    requireArguments({ options }, PIN);
    return Pin.open(this.#connection, this.digest, prompt, options, (request) => this.#use(request));
  }

  /**
   * Log-probabilities along given tokens: batch work among the other requests, unless `class` says otherwise.
   * @param tokens as `tokenize` gives them; nothing is added
   */
  async score(tokens: readonly number[], options: ScoreOptions = {}): Promise<ScoreResult> {
    requireArguments({ tokens, options }, SCORE);
    const { topLogprobs = 0, from, onProgress, timeoutMs, signal } = options;
    const service = toWireService(this.#connection, options);
    const params = {
      model: this.digest,
      tokens: [...tokens],
      topLogprobs,
      ...(from === undefined ? {} : { from }),
      // Left out where nothing is said: the agent knows how scores are served.
      ...(Object.values(service).some((value) => value !== undefined) ? { service } : {}),
    };
    return this.#use(() =>
      requestWithProgress(this.#connection, 'score', params, onProgress, { timeoutMs, signal }),
    );
  }

  /**
   * Perplexity over a text, cut into windows of the context length. As in llama.cpp's tool every window begins anew
   * and only the tokens of its second half are scored; a text of a single window is scored whole.
   */
  async perplexity(text: string, options: PerplexityOptions = {}): Promise<Perplexity> {
    requireArguments({ text, options }, PERPLEXITY);
    const all = await this.tokenize(text);
    const length = this.info.contextLength;
    const { bosToken } = this.info;
    const { onProgress, ...call } = options;
    const count = Math.max(1, Math.floor(all.length / length));
    const totalTokens = count === 1 ? Math.min(all.length, length) : count * length;
    let sum = 0;
    let tokens = 0;
    for (let window = 0; window < count; window++) {
      const part = count === 1 ? all.slice(0, length) : all.slice(window * length, (window + 1) * length);
      if (window > 0 && bosToken !== undefined) part[0] = bosToken;
      const from = count === 1 ? 1 : Math.floor(length / 2) + 1;
      const { logprobs } = await this.score(part, {
        ...call,
        from,
        onProgress: onProgress && ((done, _, unit) => onProgress(window * length + done, totalTokens, unit)),
      });
      onProgress?.(window * length + part.length, totalTokens, 'tokens');
      for (const logprob of logprobs) {
        if (logprob === null) continue;
        sum += logprob;
        tokens++;
      }
    }
    if (tokens === 0) throw new PynqLlmError('SDK_TEXT_TOO_SHORT', `The text has ${all.length} tokens.`);
    const meanLogprob = sum / tokens;
    return { perplexity: Math.exp(-meanLogprob), meanLogprob, tokens, windows: count };
  }

  /** The tokens of a text, with BOS where the model wants it. */
  async tokenize(text: string, options: TokenizeOptions = {}): Promise<number[]> {
    requireArguments({ text, options }, TOKENIZE);
    const params = { model: this.digest, text, ...options };
    return (await this.#use(() => this.#connection.request('models.tokenize', params))).tokens;
  }

  /** The text of tokens. */
  async detokenize(tokens: readonly number[]): Promise<string> {
    requireArguments({ tokens }, TOKENS);
    const params = { model: this.digest, tokens: [...tokens] };
    return (await this.#use(() => this.#connection.request('models.detokenize', params))).text;
  }

  /** The UTF-8 bytes that each token stands for inside of a text; not always whole characters, none for control tokens. */
  async pieces(tokens: readonly number[]): Promise<Uint8Array[]> {
    requireArguments({ tokens }, TOKENS);
    const params = { model: this.digest, tokens: [...tokens] };
    return (await this.#use(() => this.#connection.request('models.pieces', params))).pieces;
  }

  /** The tokens of a conversation, by the model's chat template. */
  async applyTemplate(
    messages: readonly ChatMessage[],
    options: Omit<Conversation, 'messages'> = {},
  ): Promise<number[]> {
    requireArguments({ messages }, MESSAGES);
    const params = { model: this.digest, ...toWireConversation({ ...options, messages }) };
    return (await this.#use(() => this.#connection.request('models.applyTemplate', params))).tokens;
  }

  /** What the store says about it. */
  stored(): Promise<StoredModel> {
    return this.#connection.request('models.get', { model: this.digest });
  }

  /** Frees the memory that it takes on the board. */
  async unload(): Promise<void> {
    await this.#connection.request('models.unload', { model: this.digest });
  }

  readonly #reload = async (): Promise<void> => {
    this.#loaded = await requestLoad(this.#connection, this.digest, this.#options);
  };

  async #use<T>(request: () => Promise<T>): Promise<T> {
    try {
      return await request();
    } catch (error) {
      if (!isPynqLlmError(error, 'AGENT_MODEL_NOT_LOADED')) throw error;
      await this.#reload();
      return await request();
    }
  }
}

async function requestLoad(connection: Connection, digest: string, options: LoadOptions): Promise<Loaded> {
  const { onProgress, signal } = options;
  const params = { model: digest, ...settingsOf(options) };
  // What is loaded is not loaded twice: where the connection broke, as with a gateway that is lost, it may be asked again.
  return askAgain(
    () => requestWithProgress(connection, 'models.load', params, onProgress, { signal }),
    () => !connection.isOpen,
  );
}

/** What of options says how a model is loaded: nothing else goes to the agent, nor what is not given. */
export function settingsOf({ contextLength, kvType, kvBytes, maxColumns, coreTypes, staged }: LoadSettings) {
  const settings = { contextLength, kvType, kvBytes, maxColumns, coreTypes, staged };
  return Object.fromEntries(
    Object.entries(settings).filter(([, value]) => value !== undefined),
  ) as LoadSettings;
}
