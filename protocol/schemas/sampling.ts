import { z } from 'zod';
import { MAX_CLIENT_NAMES, MAX_SCHEMA_LENGTH, MAX_TRACESTATE_LENGTH } from '../limits.js';
import { TRACEPARENT } from '../trace-context.js';
import { digest, float, list, tokenId } from './common.js';

/** What form the text has to have. A schema goes as JSON text, because it nests deeper than a message may. */
export type WireResponseFormat =
  | { readonly type: 'json-object' }
  | {
      readonly type: 'json-schema';
      /** A JSON schema, as JSON text. */
      readonly schema: string;
    };
const responseFormat: z.ZodType<WireResponseFormat> = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('json-object') }),
  z.strictObject({ type: z.literal('json-schema'), schema: z.string().max(MAX_SCHEMA_LENGTH) }),
]);

/** How tokens are chosen and when a generation ends. Names, meaning and defaults of sampling are llama.cpp's. */
export interface SamplingOptions {
  /** Tokens to generate at most, from 1; as many as the context holds unless given, which is always a limit. */
  readonly maxTokens?: number | undefined;
  /** Divides the logits before the draw, 0 to 100; 0 always takes the likeliest token. 0.8 unless given. */
  readonly temperature?: number | undefined;
  /** Draws from the k likeliest tokens; 0 from all. 40 unless given. */
  readonly topK?: number | undefined;
  /** Draws from the likeliest tokens that together reach this probability, 0 to 1; 1 from all. 0.95 unless given. */
  readonly topP?: number | undefined;
  /** Draws from tokens at least this likely, relative to the likeliest, 0 to 1; 0 from all. 0.05 unless given. */
  readonly minP?: number | undefined;
  /** Divides positive logits of the latest tokens and multiplies negative ones, 0.01 to 100; 1, the default, changes none. */
  readonly repeatPenalty?: number | undefined;
  /** Taken from a token's logit for every time that it is among the latest tokens, -100 to 100; 0 unless given. */
  readonly frequencyPenalty?: number | undefined;
  /** Taken once from the logit of each of the latest tokens, -100 to 100; 0 unless given. */
  readonly presencePenalty?: number | undefined;
  /** Latest tokens, prompt included, that the penalties look at; -1 is all. 64 unless given. */
  readonly repeatLastN?: number | undefined;
  /** Tokens whose logit is changed before sampling, at most 1,024; none unless given. */
  readonly logitBias?:
    | {
        /** Its id. */
        readonly token: number;
        /** What is added to its logit; -Infinity rules the token out. */
        readonly bias: number;
      }[]
    | undefined;
  /** The same seed gives the same tokens: a whole number from 0; 0 unless given. */
  readonly seed?: number | undefined;
  /** Texts that end the generation, at most 16; they are not part of its text. None unless given. */
  readonly stop?: string[] | undefined;
  /**
   * Whether the texts that the model file names as its ends (`pynq_llm.stop`) end the generation too, beside those of `stop`;
   * yes unless told. They are not shown, and the reason is `end-of-text`.
   */
  readonly modelStop?: boolean | undefined;
  /** Whether to go on after an end-of-text token, and after texts that the model file names as its ends; no unless told. */
  readonly ignoreEos?: boolean | undefined;
  /** Draft tokens from the sequence's own past and verify several in a step: the same tokens, in fewer steps. No unless told. */
  readonly promptLookup?: boolean | undefined;
  /** The generation's text is one document of this form, unless something else ends it first; free unless given. */
  readonly responseFormat?: WireResponseFormat | undefined;
  /** Digest of a loaded, smaller model of the same vocabulary that drafts: the same tokens, in fewer steps. */
  readonly draftModel?: string | undefined;
  /** Search for the likeliest continuations instead of drawing one: they come with the end, no token does. */
  readonly beams?:
    | {
        /** Continuations side by side, 1 to 8. */
        readonly width: number;
        /** They are ranked by log-probability / length ^ this, -10 to 10; 1 unless given, above it favours long ones. */
        readonly lengthPenalty?: number | undefined;
      }
    | undefined;
  /** Whether each token comes with its log-probability, which is computed over the whole vocabulary; true unless given. */
  readonly logprobs?: boolean | undefined;
  /** Likeliest tokens to report beside each token, 0 to 64; 0 unless given. Above 0 `logprobs` is true. */
  readonly topLogprobs?: number | undefined;
}
export const samplingOptions: z.ZodType<SamplingOptions> = z.strictObject({
  maxTokens: z.int().min(1).max(1_048_576).optional(),
  temperature: z.number().min(0).max(100).optional(),
  topK: z.int().min(0).optional(),
  topP: z.number().min(0).max(1).optional(),
  minP: z.number().min(0).max(1).optional(),
  repeatPenalty: z.number().min(0.01).max(100).optional(),
  frequencyPenalty: z.number().min(-100).max(100).optional(),
  presencePenalty: z.number().min(-100).max(100).optional(),
  repeatLastN: z.int().min(-1).max(1_048_576).optional(),
  logitBias: list(z.strictObject({ token: tokenId, bias: float }), { min: 0, max: 1_024 }).optional(),
  seed: z.int().min(0).optional(),
  stop: z.array(z.string().min(1).max(1_000)).max(16).optional(),
  modelStop: z.boolean().optional(),
  ignoreEos: z.boolean().optional(),
  promptLookup: z.boolean().optional(),
  responseFormat: responseFormat.optional(),
  draftModel: digest.optional(),
  beams: z
    .strictObject({ width: z.int().min(1).max(8), lengthPenalty: z.number().min(-10).max(10).optional() })
    .optional(),
  logprobs: z.boolean().optional(),
  topLogprobs: z.int().min(0).max(64).optional(),
});

const clientName = z.string().min(1).max(200);

/** How a request is to be served among others; docs/scheduling.md says what each does. */
export interface ServiceOptions {
  /**
   * `interactive` where somebody watches the text come, `batch` where it only has to be done; `interactive` unless given,
   * but for scores.
   */
  readonly class?: 'interactive' | 'batch' | undefined;
  /** Within the class, 0 to 9; 9 goes first. 5 unless given. */
  readonly priority?: number | undefined;
  /**
   * Whose request it is, of those who use the connection: they divide its share fairly. Several names, at most 4, divide it
   * at several levels, the outermost first (capability `client-path`). The connection's number unless given.
   */
  readonly client?: string | string[] | undefined;
  /** Milliseconds after which the request is ended, finished or not, up to a day; never unless given. */
  readonly deadlineMs?: number | undefined;
  /** The request is refused where it is likely to end later than so many milliseconds from now, up to a day; never unless given. */
  readonly maxPredictedMs?: number | undefined;
  /**
   * The trace that the request is part of, as W3C Trace Context writes it (capability `traceparent`): what agents and gateways log of it has
   * the trace's id. None unless given.
   */
  readonly traceparent?: string | undefined;
  /** What tracing systems say of it to each other, at most 512 characters: passed on as it is. */
  readonly tracestate?: string | undefined;
}
export const serviceOptions: z.ZodType<ServiceOptions> = z.strictObject({
  class: z.enum(['interactive', 'batch']).optional(),
  priority: z.int().min(0).max(9).optional(),
  client: z.union([clientName, z.array(clientName).min(1).max(MAX_CLIENT_NAMES)]).optional(),
  deadlineMs: z.number().positive().max(86_400_000).optional(),
  maxPredictedMs: z.number().positive().max(86_400_000).optional(),
  traceparent: z.string().regex(TRACEPARENT).optional(),
  tracestate: z
    .string()
    .max(MAX_TRACESTATE_LENGTH)
    .regex(/^[\x20-\x7e]*$/)
    .optional(),
});
