import { z } from 'zod';
import { MAX_PROMPT_TOKENS, MAX_TOKEN_WINDOW, MAX_VALUES } from '../limits.js';
import { wireError } from '../wire-error.js';
import { conversation } from './chat.js';
import { count, digest, float, generationId, text, tokenId, tokenList, tokens } from './common.js';
import { samplingOptions, serviceOptions } from './sampling.js';

export const prompt = z.union([
  z.strictObject({ text, parseSpecial: z.boolean().optional() }),
  conversation,
  z.strictObject({ tokens }),
]);
export type WirePrompt = z.output<typeof prompt>;

export const generateStartParams = z
  .strictObject({
    generation: generationId,
    model: digest,
    prompt,
    /** Tokens that were generated for this request elsewhere: token `continueFrom.length` is the first to come. */
    continueFrom: tokens.optional(),
    sampling: samplingOptions,
    service: serviceOptions.optional(),
    /** Tokens that may be on the way or unread; the agent keeps as many for a client that comes back. */
    window: z.int().min(1).max(MAX_TOKEN_WINDOW),
  })
  .refine(
    ({ prompt, continueFrom = [] }) =>
      ('tokens' in prompt ? prompt.tokens.length : 0) + continueFrom.length <= MAX_PROMPT_TOKENS,
    `the tokens of the prompt and those to go on after may be ${MAX_PROMPT_TOKENS} together`,
  );
export const generateStartResult = z.object({ promptTokens: count });

export const generateReference = z.strictObject({ generation: generationId });

/** How far a generation's prompt is, and the tokens that it goes on after, which count as part of it here. */
export interface PromptProgress {
  /** Tokens of the prompt. */
  readonly total: number;
  /** Of them, those whose keys and values were there already. */
  readonly cached: number;
  /** Of them, those that are computed or were there. */
  readonly computed: number;
}

export const generateProgressResult = z.object({
  /** Steps that the engine which has the generation has computed: they grow while it works, for this one or others. */
  steps: count,
  /** Absent while the prompt is not tokens yet. */
  prompt: z.object({ total: count, cached: count, computed: count }).optional() satisfies z.ZodType<
    PromptProgress | undefined
  >,
});

export const generateResumeParams = z.strictObject({
  generation: generationId,
  /** Number of the first token that did not arrive: event 0 of the new stream. */
  next: count,
});

const scoredToken = z.tuple([tokenId, float]);

/** A token that was generated. */
export interface TokenEvent {
  readonly type: 'token';
  /** Number of the token in its generation, from 0; one that goes on after n tokens begins with n. */
  readonly index: number;
  /** Its id in the vocabulary. */
  readonly id: number;
  /** Whole characters only: may be empty while a character is incomplete. */
  readonly text: string;
  /** Natural logarithm of the model's probability of this token, before temperature and filters; NaN with `logprobs: false`. */
  readonly logprob: number;
  /** Likeliest tokens with their log-probabilities, likeliest first, as many as asked; absent where none were. */
  readonly top?: [id: number, logprob: number][] | undefined;
}
export const tokenEvent = z.object({
  type: z.literal('token'),
  index: count,
  id: tokenId,
  text: z.string(),
  logprob: z.union([float, z.nan()]),
  top: z.array(scoredToken).optional(),
}) satisfies z.ZodType<TokenEvent>;

/** How long a generation took. */
export interface GenerationTiming {
  /** Milliseconds from the request until its first step. */
  readonly queuedMs: number;
  /** Milliseconds from the first step until the first token; until the first new one where it went on after others. */
  readonly prefillMs: number;
  /** Milliseconds from that token until the last. */
  readonly decodeMs: number;
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  /** Of them, those whose keys and values were there already; older agents do not say. */
  readonly cachedTokens?: number | undefined;
  /** Tokens that were generated in all, whoever generated them. */
  readonly generatedTokens: number;
  /** Of them, those that it was handed and went on after; older agents do not say. */
  readonly replayedTokens?: number | undefined;
}
export const generationTiming: z.ZodType<GenerationTiming> = z.object({
  queuedMs: float,
  prefillMs: float,
  decodeMs: float,
  promptTokens: count,
  cachedTokens: count.optional(),
  generatedTokens: count,
  replayedTokens: count.optional(),
});

/** What a generation cost, without what went on elsewhere before; shares of steps that several generations took part in may be fractional. */
export interface GenerationCost {
  /** Registers read. */
  readonly registerReads: number;
  /** Registers written. */
  readonly registerWrites: number;
  /** DMA transfers that were started. */
  readonly dmaTransfers: number;
  /** Bytes of these, in both directions. */
  readonly dmaBytes: number;
  /** Cycles of the core by the manual's formulas. */
  readonly coreCycles: number;
  /** Multiply-adds on the core. */
  readonly coreMultiplyAdds: number;
  /** Multiply-adds of matrices on the CPU. */
  readonly cpuMultiplyAdds: number;
}
export const generationCost: z.ZodType<GenerationCost> = z.object({
  registerReads: float,
  registerWrites: float,
  dmaTransfers: float,
  dmaBytes: float,
  coreCycles: float,
  coreMultiplyAdds: float,
  cpuMultiplyAdds: float,
});

/** A continuation that beam search found. */
export interface WireBeam {
  /** Its token ids. */
  readonly tokens: number[];
  /** Its text. */
  readonly text: string;
  /** Sum of its tokens' log-probabilities. */
  readonly logprob: number;
  /** What it is ranked by. */
  readonly score: number;
  /** Why it ended. */
  readonly reason: 'end-of-text' | 'max-tokens' | 'context-full';
}
const beam: z.ZodType<WireBeam> = z.object({
  tokens,
  text: z.string(),
  logprob: float,
  score: float,
  reason: z.enum(['end-of-text', 'max-tokens', 'context-full']),
});

/** How a generation ended. */
export interface DoneEvent {
  readonly type: 'done';
  /** Why it ended. */
  readonly reason: 'end-of-text' | 'stop' | 'max-tokens' | 'context-full' | 'cancelled';
  /** Text held back in case it began a stop string or an incomplete character: what follows that of the tokens. */
  readonly text: string;
  /** How many tokens were generated, those that it went on after among them. */
  readonly tokens: number;
  /** Of beam search: the continuations, best first, at most 8; `text` and `tokens` are those of the first. */
  readonly beams?: WireBeam[] | undefined;
  /** How long it took. */
  readonly timing: GenerationTiming;
  /** What it cost. */
  readonly counters: GenerationCost;
}
export const doneEvent = z.object({
  type: z.literal('done'),
  reason: z.enum(['end-of-text', 'stop', 'max-tokens', 'context-full', 'cancelled']),
  text: z.string(),
  tokens: count,
  beams: z.array(beam).max(8).optional(),
  timing: generationTiming,
  counters: generationCost,
}) satisfies z.ZodType<DoneEvent>;

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
/** Log-probabilities along given tokens. */
export interface ScoreResult {
  /** Natural logarithm of the probability of each token from `from` on, given those before it; null for the first of all. */
  readonly logprobs: (number | null)[];
  /** Likeliest next tokens after each position from `from` on, likeliest first, with their log-probabilities. */
  readonly top: [id: number, logprob: number][][];
}
export const scoreResult: z.ZodType<ScoreResult> = z.object({
  logprobs: z.array(float.nullable()),
  top: z.array(z.array(scoredToken)),
});
