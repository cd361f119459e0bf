import { pow } from '../../maths/index.js';

/** A continuation that has ended. */
export interface Hypothesis {
  readonly tokens: readonly number[];
  /** Sum of the tokens' log-probabilities. */
  readonly logprob: number;
  /** `logprob / length ^ lengthPenalty`: what hypotheses are ranked by. */
  readonly score: number;
  readonly reason: 'end-of-text' | 'max-tokens' | 'context-full';
}

/** The best hypotheses so far, best first; of equal ones the earlier first. */
export class Hypotheses {
  readonly #best: Hypothesis[] = [];
  readonly #width: number;
  readonly #lengthPenalty: number;

  constructor(width: number, lengthPenalty: number) {
    this.#width = width;
    this.#lengthPenalty = lengthPenalty;
  }

  get best(): readonly Hypothesis[] {
    return this.#best;
  }

  add(tokens: readonly number[], logprob: number, reason: Hypothesis['reason']): void {
    const score = this.#score(logprob, tokens.length);
    const at = this.#best.findIndex((other) => other.score < score);
    this.#best.splice(at < 0 ? this.#best.length : at, 0, { tokens, logprob, score, reason });
    this.#best.length = Math.min(this.#best.length, this.#width);
  }

  /**
   * Whether nothing that goes on from `logprob` can still be among the best.
   * @param length tokens so far
   * @param mostTokens tokens that it can have at most
   */
  isComplete(logprob: number, length: number, mostTokens: number): boolean {
    if (this.#best.length < this.#width) return false;
    // A log-probability only falls. With a penalty above 0 length makes up for it, most at its greatest.
    const attainable = this.#score(logprob, this.#lengthPenalty > 0 ? mostTokens : length);
    return attainable <= this.#best[this.#width - 1].score;
  }

  #score(logprob: number, length: number): number {
    return logprob / pow(length, this.#lengthPenalty);
  }
}
