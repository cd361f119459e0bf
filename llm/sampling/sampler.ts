import type { Constraint } from '../../constraint/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { Random } from '../../maths/index.js';
import { draw, selectCandidates } from './candidates.js';
import { checkFinite, normaliserOf, type TokenLogprob } from './logprobs.js';
import { checkSampling, type SamplingOptions, type SamplingParameters } from './parameters.js';
import { RecentTokens } from './recent-tokens.js';
import { selectTop } from './select-top.js';

/** A chosen token. `logprob` and `top` are the model's own, whatever the sampling parameters; NaN without `logprobs`. */
export interface SampledToken extends TokenLogprob {
  /** The likeliest tokens, as many as `topLogprobs` asks for. */
  readonly top: readonly TokenLogprob[];
}

/**
 * Chooses the tokens of one sequence. The steps and their order are llama.cpp's: logit bias, repetition, frequency and presence
 * penalties, the constraint, then the likeliest token (temperature 0) or top-k, top-p, min-p, temperature and a draw. Logits, parameters and tokens so far
 * determine the choice, on every machine alike.
 */
export class Sampler {
  readonly #parameters: SamplingParameters;
  readonly #random: Random;
  readonly #recent: RecentTokens;
  /** Logits of the step, changed by bias and penalty. */
  readonly #logits: Float64Array;
  readonly #constraint: Constraint | undefined;

  /**
   * @param constraint what the tokens have to keep to
   * @throws PynqLlmError LLM_SAMPLING_PARAMETER
   */
  constructor(options: SamplingOptions, vocabSize: number, constraint?: Constraint) {
    this.#constraint = constraint;
    this.#parameters = checkSampling(options, vocabSize);
    this.#random = new Random(this.#parameters.seed);
    this.#recent = new RecentTokens(this.#parameters.repeatLastN);
    this.#logits = new Float64Array(vocabSize);
  }

  /** Takes note of tokens that were not sampled: the prompt. */
  observe(ids: Iterable<number>): void {
    for (const id of ids) this.#recent.add(id);
  }

  /**
   * Goes on after a token that was chosen before, by a sampler of the same options: as if it had been chosen now.
   * @returns whether it may have been; nothing is changed where it may not
   * @throws PynqLlmError LLM_SCHEMA_TOO_LARGE
   */
  replay(id: number): boolean {
    const { logitBias, temperature } = this.#parameters;
    if (logitBias.some(([token, bias]) => token === id && bias === Number.NEGATIVE_INFINITY)) return false;
    if (this.#constraint?.allows(id) === false) return false;
    this.#take(id);
    // Each draw takes one random number, however many candidates there are.
    if (temperature !== 0) this.#random.nextDouble();
    return true;
  }

  /**
   * The next token.
   *
   * @param logits one a token of the vocabulary; unchanged
   * @throws PynqLlmError LLM_NOT_FINITE, LLM_SAMPLING_NO_CANDIDATE, LLM_SCHEMA_VOCABULARY, LLM_SCHEMA_TOO_LARGE
   */
  sample(logits: Float32Array): SampledToken {
    const { logprobs, topLogprobs } = this.#parameters;
    const hasLogprobs = logprobs || topLogprobs > 0;
    if (!hasLogprobs) checkFinite(logits);
    const normaliser = hasLogprobs ? normaliserOf(logits) : Number.NaN;
    const id = this.#choose(logits);
    this.#take(id);
    const logprobOf = (token: number) => ({ id: token, logprob: logits[token] - normaliser });
    return { ...logprobOf(id), top: selectTop(logits, topLogprobs).map(logprobOf) };
  }

  #take(id: number): void {
    this.#recent.add(id);
    this.#constraint?.accept(id);
  }

  #choose(logits: Float32Array): number {
    const { temperature } = this.#parameters;
    this.#logits.set(logits);
    this.#addBias();
    this.#penaliseRepetition();
    this.#constraint?.apply(this.#logits);
    const candidates =
      temperature === 0 ? selectTop(this.#logits, 1) : selectCandidates(this.#logits, this.#parameters);
    if (candidates.length === 0) {
      throw new PynqLlmError('LLM_SAMPLING_NO_CANDIDATE', 'No token of the vocabulary can be chosen.');
    }
    if (temperature === 0) return candidates[0];
    return draw(this.#logits, candidates, temperature, this.#random.nextDouble());
  }

  #addBias(): void {
    for (const [id, bias] of this.#parameters.logitBias) this.#logits[id] += bias;
  }

  #penaliseRepetition(): void {
    const { repeatPenalty, frequencyPenalty, presencePenalty } = this.#parameters;
    if (repeatPenalty === 1 && frequencyPenalty === 0 && presencePenalty === 0) return;
    for (const [id, count] of this.#recent.counts()) {
      const logit = this.#logits[id];
      const repeated = logit > 0 ? logit / repeatPenalty : logit * repeatPenalty;
      this.#logits[id] = repeated - count * frequencyPenalty - presencePenalty;
    }
  }
}
