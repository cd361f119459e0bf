import type { Model } from '../model/model.js';
import { type TokenLogprob, topLogprobs } from '../sampling/index.js';
import { normaliserOf } from '../sampling/logprobs.js';
import { checkRequest } from './check-request.js';
import { PrefillSequence } from './prefill-sequence.js';

/** Columns with logits of their own: more would take much memory and save little. */
const MOST_COLUMNS = 16;

export interface ScoreOptions {
  /** Likeliest next tokens to report after each position. */
  readonly topLogprobs: number;
  /** Only positions from here on are reported. */
  readonly from: number;
}

export interface Scores {
  /** Log-probability of each reported token given those before it; null for the first of all. */
  readonly logprobs: readonly (number | null)[];
  /** Likeliest next tokens after each reported position. */
  readonly top: readonly (readonly TokenLogprob[])[];
}

/** Computes how likely given tokens are, each after those before it. */
export class ScoreSequence extends PrefillSequence<Scores> {
  readonly #options: ScoreOptions;
  readonly #logits: Float32Array[] = [];
  readonly #logprobs: (number | null)[] = [];
  readonly #top: TokenLogprob[][] = [];
  /** The next position whose logits are wanted: those after a token score the next one. */
  #next: number;
  /** Position of the first column of the last step. */
  #firstOfStep = 0;

  /** @throws PynqLlmError LLM_PROMPT_EMPTY, LLM_PROMPT_TOO_LONG, LLM_TOKEN_RANGE, LLM_KV_TOO_LONG, LLM_KV_MEMORY */
  constructor(model: Model, tokens: readonly number[], options: ScoreOptions, now: number) {
    checkRequest(model, { prompt: tokens, maxTokens: 1 });
    super(model, tokens, now);
    this.#options = options;
    this.#next = Math.max(0, options.from - 1);
    if (options.from === 0) this.#logprobs.push(null);
  }

  get result(): Scores | undefined {
    return this.#next < this.tokens.length ? undefined : { logprobs: this.#logprobs, top: this.#top };
  }

  protected get mostColumns(): number {
    return MOST_COLUMNS;
  }

  protected get computedFrom(): number {
    return this.#next;
  }

  protected logitsOf(position: number, index: number): Float32Array | undefined {
    if (position < this.#next) return undefined;
    this.#firstOfStep = position - index;
    this.#logits[index] ??= new Float32Array(this.model.config.vocabSize);
    return this.#logits[index];
  }

  /** @throws PynqLlmError LLM_NOT_FINITE */
  protected onComputed(): void {
    const { tokens } = this;
    const { topLogprobs: count, from } = this.#options;
    for (const computed = tokens.length - this.left; this.#next < computed; this.#next++) {
      const logits = this.#logits[this.#next - this.#firstOfStep];
      const scored = tokens.at(this.#next + 1);
      if (scored !== undefined) this.#logprobs.push(logits[scored] - normaliserOf(logits));
      if (this.#next >= from) this.#top.push(count === 0 ? [] : topLogprobs(logits, count));
    }
  }
}
