import { z } from 'zod';
import {
  MAX_CLIENT_NAMES,
  MAX_PROMPT_TOKENS,
  MAX_SCHEMA_LENGTH,
  MAX_TOKEN_WINDOW,
  MAX_VALUES,
} from '../limits.js';
import { wireError } from '../wire-error.js';
import { count, digest, float, generationId, list, text, tokenId, tokenList, tokens } from './common.js';
import { chatMessages } from './models.js';

/** What form the text has to have. A schema goes as JSON text, because it nests deeper than a message may. */
const responseFormat = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('json-object') }),
  z.strictObject({ type: z.literal('json-schema'), schema: z.string().max(MAX_SCHEMA_LENGTH) }),
]);

/** How tokens are chosen and when a generation ends. Everything has a default in llm/. */
export const samplingOptions = z.strictObject({
  /** Tokens to generate at most; the context's end is always a limit. */
  maxTokens: z.int().min(1).max(1_048_576).optional(),
  /** 0 is greedy. */
  temperature: z.number().min(0).max(100).optional(),
  topK: z.int().min(0).optional(),
  topP: z.number().min(0).max(1).optional(),
  minP: z.number().min(0).max(1).optional(),
  repeatPenalty: z.number().min(0.01).max(100).optional(),
  /** Taken from a token's logit for every time that it is among the latest tokens. */
  frequencyPenalty: z.number().min(-100).max(100).optional(),
  /** Taken once from the logit of each of the latest tokens. */
  presencePenalty: z.number().min(-100).max(100).optional(),
  /** Latest tokens, prompt included, that the penalties look at; -1 is all. */
  repeatLastN: z.int().min(-1).max(1_048_576).optional(),
  /** What is added to a token's logit before sampling. */
  logitBias: list(z.strictObject({ token: tokenId, bias: float }), { min: 0, max: 1_024 }).optional(),
  /** The same seed gives the same tokens. */
  seed: z.int().min(0).optional(),
  /** Texts that end the generation; they are not part of its text. */
  stop: z.array(z.string().min(1).max(1_000)).max(16).optional(),
  /** Go on after an end-of-text token. */
  ignoreEos: z.boolean().optional(),
  /** Draft tokens from the sequence's own past and verify several in a step: the same tokens, in fewer steps. */
  promptLookup: z.boolean().optional(),
  /** The generation's text is one document of this form, unless something else ends it first. */
  responseFormat: responseFormat.optional(),
  /** A loaded, smaller model of the same vocabulary that drafts instead: the same tokens, in fewer steps. */
  draftModel: digest.optional(),
  /** Search for the likeliest continuations instead of drawing one: they come with the end, no token does. */
  beams: z
    .strictObject({ width: z.int().min(1).max(8), lengthPenalty: z.number().min(-10).max(10).optional() })
    .optional(),
  /** Likeliest tokens to report beside each token. */
  topLogprobs: z.int().min(0).max(64).optional(),
});
export type SamplingOptions = z.output<typeof samplingOptions>;

const clientName = z.string().min(1).max(200);

/** How a request is to be served among others; docs/scheduling.md has the defaults and what each does. */
export const serviceOptions = z.strictObject({
  /** `interactive` where somebody watches the text come, `batch` where it only has to be done. */
  class: z.enum(['interactive', 'batch']).optional(),
  /** Within the class; 9 goes first. */
  priority: z.int().min(0).max(9).optional(),
  /**
   * Whose request it is, of those who use the connection: they divide its share fairly. Several names divide it at several
   * levels, the outermost first (capability `client-path`). The connection's number unless given.
   */
  client: z.union([clientName, z.array(clientName).min(1).max(MAX_CLIENT_NAMES)]).optional(),
  /** Milliseconds after which the generation is ended, finished or not. */
  deadlineMs: z.number().positive().max(86_400_000).optional(),
});
export type ServiceOptions = z.output<typeof serviceOptions>;

export const prompt = z.union([
  z.strictObject({ text, parseSpecial: z.boolean().optional() }),
  z.strictObject({ messages: chatMessages }),
  z.strictObject({ tokens }),
]);
export type WirePrompt = z.output<typeof prompt>;

export const generateStartParams = z.strictObject({
  generation: generationId,
  model: digest,
  prompt,
  sampling: samplingOptions,
  service: serviceOptions.optional(),
  /** Tokens that may be on the way or unread; the agent keeps as many for a client that comes back. */
  window: z.int().min(1).max(MAX_TOKEN_WINDOW),
});
export const generateStartResult = z.object({ promptTokens: count });

export const generateReference = z.strictObject({ generation: generationId });

export const generateProgressResult = z.object({
  /** Steps that the engine which has the generation has computed: they grow while it works, for this one or others. */
  steps: count,
});

export const generateResumeParams = z.strictObject({
  generation: generationId,
  /** Number of the first token that did not arrive: event 0 of the new stream. */
  next: count,
});

const scoredToken = z.tuple([tokenId, float]);

export const tokenEvent = z.object({
  type: z.literal('token'),
  /** Number of the token in its generation, from 0. */
  index: count,
  id: tokenId,
  /** Whole characters only: may be empty while a character is incomplete. */
  text: z.string(),
  /** Natural logarithm of the model's probability of this token, before temperature and filters. */
  logprob: float,
  /** Likeliest tokens with their log-probabilities, as many as asked. */
  top: z.array(scoredToken).optional(),
});
export type TokenEvent = z.output<typeof tokenEvent>;

export const generationTiming = z.object({
  /** From the request until its first step. */
  queuedMs: float,
  /** From the first step until the first token. */
  prefillMs: float,
  /** From the first token until the last. */
  decodeMs: float,
  promptTokens: count,
  generatedTokens: count,
});
export type GenerationTiming = z.output<typeof generationTiming>;

/** What the generation cost; shares of steps that several generations took part in may be fractional. */
export const generationCost = z.object({
  registerReads: float,
  registerWrites: float,
  dmaTransfers: float,
  dmaBytes: float,
  coreCycles: float,
  coreMultiplyAdds: float,
  cpuMultiplyAdds: float,
});
export type GenerationCost = z.output<typeof generationCost>;

export const doneEvent = z.object({
  type: z.literal('done'),
  reason: z.enum(['end-of-text', 'stop', 'max-tokens', 'context-full', 'cancelled']),
  /** Text held back in case it began a stop string or an incomplete character. */
  text: z.string(),
  tokens: count,
  /** Of beam search: the continuations, best first; `text` and `tokens` are those of the first. */
  beams: z
    .array(
      z.object({
        tokens,
        text: z.string(),
        logprob: float,
        score: float,
        reason: z.enum(['end-of-text', 'max-tokens', 'context-full']),
      }),
    )
    .max(8)
    .optional(),
  timing: generationTiming,
  counters: generationCost,
});
export type DoneEvent = z.output<typeof doneEvent>;

/** The generation ended by an error after it had started. */
export const failedEvent = z.object({ type: z.literal('failed'), error: wireError });

export const generateEvent = z.discriminatedUnion('type', [tokenEvent, doneEvent, failedEvent]);
export type GenerateEvent = z.output<typeof generateEvent>;

export const scoreParams = z
  .strictObject({
    model: digest,
    tokens: tokenList({ min: 1, max: MAX_PROMPT_TOKENS }),
    /** Likeliest tokens to report after each position. */
    topLogprobs: z.int().min(0).max(64),
    /** Only positions from here on are reported. */
    from: count.optional(),
    /** Batch work unless it says otherwise. */
    service: serviceOptions.optional(),
  })
  .refine(({ tokens, topLogprobs, from = 0 }) => {
    // Beside a score of its own, each position has a list of pairs.
    const positions = Math.max(0, tokens.length - from);
    return positions * (2 + 3 * topLogprobs) + 16 <= MAX_VALUES;
  }, 'so many likeliest tokens of so many positions do not fit into a frame: ask for fewer, or in parts with `from`');
export const scoreResult = z.object({
  /** Log-probability of each token given those before it; null for the first. */
  logprobs: z.array(float.nullable()),
  /** Likeliest next tokens after each position. */
  top: z.array(z.array(scoredToken)),
});
export type ScoreResult = z.output<typeof scoreResult>;
