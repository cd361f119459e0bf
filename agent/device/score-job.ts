import type { Model } from '../../llm/model.js';
import { normaliserOf, topLogProbs } from '../../llm/sampling/log-probs.js';
import type { Params, Result } from '../../protocol/index.js';

/** Columns with logits of their own: more would take much memory and save little. */
const MOST_COLUMNS = 16;

/** Scores given tokens a few columns a step, so that generations and other requests go on meanwhile. */
export class ScoreJob {
  readonly #model: Model;
  readonly #tokens: readonly number[];
  readonly #top: number;
  readonly #from: number;
  readonly #cache: ReturnType<Model['newCache']>;
  readonly #logits: Float32Array[];
  readonly #logprobs: (number | null)[];
  readonly #likeliest: [number, number][][] = [];
  #position = 0;

  /** @throws PynqLlmError LLM_CONTEXT_LENGTH, LLM_TOKEN_RANGE */
  constructor(model: Model, params: Params<'score'>) {
    this.#model = model;
    this.#tokens = params.tokens;
    this.#top = params.top;
    this.#from = params.from ?? 0;
    for (const token of params.tokens) model.checkToken(token);
    this.#cache = model.newCache(params.tokens.length);
    this.#logits = Array.from(
      { length: Math.min(model.maxColumns, MOST_COLUMNS) },
      () => new Float32Array(model.config.vocabSize),
    );
    this.#logprobs = this.#from === 0 ? [null] : [];
  }

  /** Tokens that went through the model. */
  get done(): number {
    return this.#position;
  }

  get total(): number {
    return this.#tokens.length;
  }

  /** Runs one step. @returns the scores once they are complete */
  step(): Result<'score'> | undefined {
    const count = Math.min(this.#logits.length, this.#tokens.length - this.#position);
    const columns = Array.from({ length: count }, (_, i) => {
      const position = this.#position + i;
      // The logits after a token score the next one.
      const logits = position + 1 >= this.#from ? this.#logits[i] : undefined;
      return { cache: this.#cache, token: this.#tokens[position], position, logits };
    });
    this.#model.forward(columns);
    this.#cache.settle();
    for (const { position, logits } of columns) if (logits !== undefined) this.#take(position, logits);
    this.#position += count;
    if (this.#position < this.#tokens.length) return undefined;
    return { logprobs: this.#logprobs, top: this.#likeliest };
  }

  /** Gives back the memory of a job that has ended, however it did. */
  close(): void {
    this.#cache.release();
  }

  #take(position: number, logits: Float32Array): void {
    if (position + 1 < this.#tokens.length)
      this.#logprobs.push(logits[this.#tokens[position + 1]] - normaliserOf(logits));
    if (position >= this.#from)
      this.#likeliest.push(
        this.#top === 0 ? [] : topLogProbs(logits, this.#top).map(({ id, logProb }) => [id, logProb]),
      );
  }
}
