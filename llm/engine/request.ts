import type { ResponseFormat } from '../../constraint/index.js';
import type { Prospect } from '../kv/prospect.js';
import type { SpillFolder } from '../kv/spill-folder.js';
import type { Column } from '../model/column.js';
import type { Cost } from '../model/cost.js';
import type { Model } from '../model/model.js';
import type { SamplingOptions, TokenLogprob } from '../sampling/index.js';

/** What is asked of the engine. */
export interface GenerateRequest {
  /** Token ids, with BOS where the model wants it. */
  readonly prompt: readonly number[];
  /**
   * Tokens that were generated already, by this request on this model: it goes on after them with the same bits. All else is
   * as if it had not been interrupted: the prompt is without them, and `maxTokens`, indices and `credit` count them.
   */
  readonly continueFrom?: readonly number[] | undefined;
  /** Tokens to generate at most; as many as the context holds unless given. */
  readonly maxTokens?: number | undefined;
  readonly sampling?: SamplingOptions | undefined;
  /** Texts that end the generation and are not part of its text. */
  readonly stop?: readonly string[] | undefined;
  /** Whether the texts that the model file names as its ends (`pynq_llm.stop`) end it too; yes unless told. */
  readonly modelStop?: boolean | undefined;
  /** Go on after an end-of-text token, and after such a text. */
  readonly ignoreEos?: boolean | undefined;
  /** Draft tokens from the sequence's own past and verify several in a step: the same tokens, in fewer steps. */
  readonly promptLookup?: boolean | undefined;
  /** The form that the whole text has to have; the generation ends with the document, also where it ignores end tokens. */
  readonly responseFormat?: ResponseFormat | undefined;
  /** A smaller model of the same vocabulary drafts: the same tokens, in fewer steps of this one. Excludes promptLookup. */
  readonly draftModel?: Model | undefined;
  /** Search for the likeliest continuations instead of drawing one: they come with the result, no token does. */
  readonly beams?: BeamOptions | undefined;
  /** Tokens numbered below may be generated until `grant` says more; without end unless given. */
  readonly credit?: number | undefined;
}

/** Beam search. */
export interface BeamOptions {
  /** Continuations side by side, 1 to 8. */
  readonly width: number;
  /** Continuations are ranked by their log-probability divided by length ^ this; 1 unless given, above it favours long ones. */
  readonly lengthPenalty?: number | undefined;
}

/** A continuation that beam search found. */
export interface BeamResult {
  readonly tokens: readonly number[];
  readonly text: string;
  /** Sum of the tokens' log-probabilities. */
  readonly logprob: number;
  /** What they are ranked by. */
  readonly score: number;
  readonly reason: 'end-of-text' | 'max-tokens' | 'context-full';
}

/** A generated token, in the order of `index`: from 0, or from the number of tokens that it goes on after. */
export interface TokenOutput {
  readonly index: number;
  readonly id: number;
  /** Whole characters; may be empty while a character or a stop string may still be completed, and for control tokens. */
  readonly text: string;
  /** Natural logarithm under the model's own distribution; NaN where the sampling options say `logprobs: false`. */
  readonly logprob: number;
  readonly top: readonly TokenLogprob[];
}

export type FinishReason = 'end-of-text' | 'stop' | 'max-tokens' | 'context-full' | 'cancelled';

/** How a generation ended. */
export interface GenerationResult {
  readonly reason: FinishReason;
  /** Text that was held back from a generation that was cancelled; the last token of any other has it. */
  readonly text: string;
  /** Tokens in all, those that it went on after among them. */
  readonly tokens: number;
  /** Milliseconds from the request to its first step, to the first token that was generated here, to the last. */
  readonly timing: {
    readonly queuedMs: number;
    readonly prefillMs: number;
    readonly decodeMs: number;
    readonly promptTokens: number;
    /** Of them, those whose keys and values were there already. */
    readonly cachedTokens: number;
    /** Tokens in all, and how many of them it went on after. */
    readonly generatedTokens: number;
    readonly replayedTokens: number;
  };
  readonly cost: Cost;
  /** Of beam search: the continuations, best first. `text` and `tokens` are those of the first. */
  readonly beams?: readonly BeamResult[];
}

/** What the engine does with a request: computes its columns, then takes what came of them. */
export interface EngineSequence {
  readonly cost: Cost;
  /** Tokens numbered below may be generated. */
  credit: number;
  /** Tokens that the model has to see before there are samples; 1 where each step gives a token. */
  readonly left: number;
  /** Whether it waits for a further token: its prompt, and what it generated, is computed. */
  readonly generates: boolean;
  /** Whether it can have further columns while a step of it is under way: what it has is but a piece of its prompt. */
  readonly goesOn: boolean;
  /** What is before it until its prompt is computed. */
  readonly prospect: Prospect;
  /** Drafted tokens that would be worth a column each in the next step. */
  readonly drafts: number;
  readonly promptTokens: number;
  /** Tokens that it may still generate, in as many steps of `width` columns, and whether its text may end before. */
  readonly mostTokens: number;
  readonly width: number;
  readonly mayEnd: boolean;
  /** Tokens that it goes on after. */
  readonly replayedTokens: number;
  /** Tokens of the prompt, and of those that it goes on after, whose keys and values were there already. */
  readonly cachedTokens: number;
  /** Tokens so far, those that it goes on after among them, and their text. */
  readonly generated: number;
  readonly said: string;
  readonly startedAt: number | undefined;
  /** Tokens that fit into the pages that it holds, and pages that would be free without it. */
  readonly memory: { readonly room: number; readonly pages: number };
  /** Whether the client has room for one more token: without it nothing is computed for the sequence. */
  readonly hasCredit: boolean;
  /**
   * The next columns, at most `most` of them.
   * @param isUnderWay whether a step of it is, with the columns before these
   * @throws PynqLlmError LLM_KV_FULL, LLM_KV_MEMORY
   */
  columns(most: number, now: number, isUnderWay?: boolean): Column[];
  /** What came of a step after which nothing is left. @throws PynqLlmError LLM_NOT_FINITE, LLM_SAMPLING_NO_CANDIDATE */
  samples(now: number): Iterable<{ readonly token?: TokenOutput; readonly finish?: FinishReason }>;
  /**
   * The step has succeeded, and what came of it is taken: what is complete can be shared.
   * @param computed how many tokens are, where a further step of it is under way
   */
  settle(computed?: number): void;
  /** The end: what was held back, and the bill. */
  finish(reason: FinishReason, now: number): GenerationResult;
  /** Gives back the memory until its next columns: what was there goes to `spill`, or is computed again. */
  makeRoom(spill: SpillFolder | undefined): void;
  /** Gives back the memory of a sequence that has ended. */
  releaseCache(): void;
}
