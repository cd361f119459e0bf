import { schemaText } from '../protocol/index.js';
import type {
  DoneEvent,
  GenerateOptions,
  Generation,
  Prompt,
  PromptProgress,
  ResponseFormat,
  Token,
} from '../sdk/index.js';
import { type Answering, nothing } from './answering.js';
import { ApiError } from './api-error.js';
import type { Piece } from './piece.js';
import type { Echo } from './reported-token.js';
import type { SamplingFields } from './schemas.js';
import type { ServedModel } from './served-models.js';
import { withCalls } from './tools/call-pieces.js';
import { forcedCall, type ToolRequest } from './tools/tool-request.js';

/** One answer under way. */
export interface Choice {
  readonly index: number;
  readonly generation: Answering;
  /** The prompt, where it is part of the answer. */
  readonly echo: Promise<Echo> | undefined;
  /** What makes of its pieces those that are sent. */
  readonly read: (pieces: AsyncIterable<Piece>) => AsyncIterable<Piece>;
}

export type ServiceOptions = Pick<
  GenerateOptions,
  'class' | 'client' | 'priority' | 'deadlineMs' | 'maxPredictedMs' | 'traceparent' | 'tracestate'
>;

/** Tokens and time that requests took. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  /** Of the prompt's tokens, those that were not computed again. */
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

/** Sampling as the request wants it. OpenAI's defaults: temperature and top_p 1, nothing cut off. */
export function toGenerateOptions(
  request: SamplingFields,
  maxTokens: number | null | undefined,
  { logprobs, top }: { readonly logprobs: boolean; readonly top: number },
): GenerateOptions {
  const { stop, seed, logit_bias: bias } = request;
  return {
    temperature: request.temperature ?? 1,
    topP: request.top_p ?? 1,
    topK: request.top_k ?? 0,
    minP: request.min_p ?? 0,
    repeatPenalty: request.repeat_penalty ?? 1,
    frequencyPenalty: request.frequency_penalty ?? 0,
    presencePenalty: request.presence_penalty ?? 0,
    repeatLastN: request.repeat_last_n ?? -1,
    logitBias: Object.entries(bias ?? {}).map(([token, value]) => ({ token: Number(token), bias: value })),
    seed: seed === null || seed === undefined ? Math.floor(Math.random() * 2 ** 32) : seedOf(seed, 0),
    ignoreEos: request.ignore_eos ?? false,
    promptLookup: request.prompt_lookup ?? false,
    ...(beamsOf(request) ?? {}),
    logprobs,
    topLogprobs: top,
    responseFormat: formatOf(request),
    ...(maxTokens === null || maxTokens === undefined ? {} : { maxTokens }),
    ...(stop === null || stop === undefined ? {} : { stop: typeof stop === 'string' ? [stop] : stop }),
  };
}

/** @throws ApiError 400 where the request asks for what beam search cannot give */
function beamsOf(request: SamplingFields): Pick<GenerateOptions, 'beams'> | undefined {
  const { beam_width: width, length_penalty: lengthPenalty, n, stream } = request;
  if (width === null || width === undefined) return undefined;
  const refuse = (param: string, message: string) => new ApiError(400, message, 'invalid_value', param);
  if ((n ?? 1) > width)
    throw refuse('n', `${n} answers were asked for, and only ${width} beams to find them.`);
  if (stream)
    throw refuse('stream', 'Beam search knows its answers only at the end: they cannot be streamed.');
  return { beams: { width, ...(typeof lengthPenalty === 'number' ? { lengthPenalty } : {}) } };
}

/** Priority of OpenAI's service tier `priority`: ahead of others of the class, behind who names a higher one. */
const PRIORITY_TIER = 7;

/**
 * How the request wants to be served: `flex` is batch work, as OpenAI means it: cheaper and later.
 * @param share whose share of the board it uses; the user that it names only divides that
 */
export function toService(request: SamplingFields, share: readonly string[]): ServiceOptions {
  const { service_tier: tier, priority, deadline_ms: deadlineMs } = request;
  const user = request.safety_identifier ?? request.user;
  return {
    class: tier === 'flex' ? 'batch' : 'interactive',
    client: [...share, ...(user === null || user === undefined ? [] : [user])],
    ...(tier === 'priority' ? { priority: PRIORITY_TIER } : {}),
    ...(priority === null || priority === undefined ? {} : { priority }),
    ...(deadlineMs === null || deadlineMs === undefined ? {} : { deadlineMs }),
  };
}

function formatOf({ response_format: format }: SamplingFields): ResponseFormat | undefined {
  switch (format?.type) {
    case 'json_object':
      return { type: 'json-object' };
    case 'json_schema':
      // Written once: every answer of the request has it.
      return { type: 'json-schema', schema: schemaText(format.json_schema.schema) };
    default:
      return undefined;
  }
}

/** The seed of answer i: OpenAI's seeds may be negative, ours are from 0 to 2^53 - 1. */
function seedOf(seed: number, i: number): number {
  return Number(BigInt.asUintN(53, BigInt(seed) + BigInt(i)));
}

/** What is to be continued, and whether it is part of the answer. */
export interface ToContinue {
  readonly prompt: Prompt;
  /** Where nothing is to be generated: the tokens of the prompt. */
  readonly promptTokens?: number | undefined;
  readonly echo?: Promise<Echo> | undefined;
}

/** A short request for 64 answers to long prompts: each answer is sent its prompt, which takes the time and memory again. */
const MAX_SENT_BYTES = 4 * 1024 * 1024;
const BYTES_PER_TOKEN = 16;

function sizeOf(prompt: Prompt): number {
  if (typeof prompt === 'string') return prompt.length;
  if ('tokens' in prompt) return prompt.tokens.length * BYTES_PER_TOKEN;
  if ('text' in prompt) return prompt.text.length;
  return prompt.messages.reduce((sum, { content }) => sum + content.length, prompt.tools?.length ?? 0);
}

/**
 * Starts `n` answers to each prompt; answer i of a prompt is drawn with seed + i. Beam search finds them all in one.
 * @throws ApiError 400 where the prompts are too long for so many answers
 */
export function startChoices(
  { model }: ServedModel,
  prompts: readonly ToContinue[],
  n: number,
  options: GenerateOptions,
  signal: AbortSignal,
  tools: ToolRequest | undefined,
): Choice[] {
  const generations = options.beams === undefined ? n : 1;
  const sent = generations * prompts.reduce((sum, { prompt }) => sum + sizeOf(prompt), 0);
  if (sent > MAX_SENT_BYTES)
    throw new ApiError(
      400,
      `${generations} answers to prompts of this length are too much for one request: ask for fewer, or in several.`,
      'request_too_large',
      'n',
    );
  return prompts.flatMap(({ prompt, echo, promptTokens }, p) =>
    Array.from({ length: generations }, (_, i) => {
      const begin = (more: More) =>
        model.generate(prompt, { ...options, seed: seedOf(options.seed ?? 0, i), signal, ...more });
      return {
        index: p * n + i,
        echo,
        ...answerOf(tools, begin, promptTokens),
      };
    }),
  );
}

type More = Pick<GenerateOptions, 'responseFormat' | 'maxPredictedMs'>;

/** @param begin begins the answer, or begins it again in a form */
function answerOf(
  tools: ToolRequest | undefined,
  begin: (more: More) => Generation,
  promptTokens: number | undefined,
): Pick<Choice, 'generation' | 'read'> {
  const asItIs = (pieces: AsyncIterable<Piece>) => pieces;
  if (promptTokens !== undefined) return { generation: nothing(promptTokens), read: asItIs };
  if (tools === undefined || tools.functions.length === 0) return { generation: begin({}), read: asItIs };
  const answer = new RestartableAnswer(
    begin(tools.forced === undefined ? {} : { responseFormat: tools.forced }),
  );
  const restart = (name: string) => {
    const called = tools.functions.filter((one) => one.name === name);
    // What was let in is not refused once half of it is there.
    const again = begin({ responseFormat: forcedCall(called), maxPredictedMs: undefined });
    return piecesOfGeneration(answer.restart(again));
  };
  return { generation: answer, read: (pieces) => withCalls(pieces, tools, restart) };
}

/** A generation that another may take the place of: it ends with the last one. */
class RestartableAnswer implements Answering {
  readonly admitted: Promise<void>;
  readonly done: Promise<DoneEvent>;
  readonly #first: Generation;
  #current: Generation;
  #settle!: { resolve(done: DoneEvent): void; reject(error: unknown): void };

  constructor(first: Generation) {
    this.#first = first;
    this.#current = first;
    this.admitted = first.admitted;
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.done.catch(() => {});
    this.#follow(first);
  }

  restart(next: Generation): Generation {
    this.#current = next;
    this.#follow(next);
    return next;
  }

  progress(): Promise<PromptProgress | undefined> {
    return this.#current.progress();
  }

  cancel(): Promise<void> {
    return this.#current.cancel();
  }

  [Symbol.asyncIterator](): AsyncIterator<Token> {
    return this.#first[Symbol.asyncIterator]();
  }

  #follow(generation: Generation): void {
    const isCurrent = () => generation === this.#current;
    generation.done.then(
      (done) => isCurrent() && this.#settle.resolve(done),
      (error: unknown) => isCurrent() && this.#settle.reject(error),
    );
  }
}

/** The pieces of an answer as they come. */
export async function* piecesOf({ generation, echo, read }: Choice): AsyncGenerator<Piece, void, void> {
  if (echo !== undefined) {
    try {
      yield { ...(await echo), finish: undefined };
    } catch (error) {
      // Nobody will read what comes after it.
      await generation.cancel().catch(() => {});
      throw error;
    }
  }
  yield* read(piecesOfGeneration(generation));
}

async function* piecesOfGeneration(generation: Answering): AsyncGenerator<Piece, void, void> {
  for await (const token of generation) yield { text: token.text, tokens: [token], finish: undefined };
  const done = await generation.done;
  yield { text: done.text, tokens: [], finish: done };
}

/** Why an answer ended, in OpenAI's words. */
export function finishReason({ reason }: DoneEvent, hasCalls = false): 'stop' | 'length' | 'tool_calls' {
  if (reason === 'max-tokens' || reason === 'context-full') return 'length';
  return hasCalls ? 'tool_calls' : 'stop';
}

/** @param perPrompt how many answers share a prompt, which counts once */
export function usageOf(done: readonly DoneEvent[], perPrompt: number): Usage {
  const first = done.filter((_, i) => i % perPrompt === 0);
  const prompt = first.reduce((sum, { timing }) => sum + timing.promptTokens, 0);
  const cached = first.reduce((sum, { timing }) => sum + (timing.cachedTokens ?? 0), 0);
  const completion = done.reduce((sum, { tokens }) => sum + tokens, 0);
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached },
  };
}
