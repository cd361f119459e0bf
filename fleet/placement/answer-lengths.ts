/** Answers that are remembered. */
const REMEMBERED = 256;
/** What an answer is taken for while nobody has seen one. */
const UNKNOWN_TOKENS = 128;
/** Answers that must have gone on beyond a length for their mean to say anything. */
const ENOUGH = 4;

/** How long answers have been: nobody knows how long one will be. */
export class AnswerLengths {
  readonly #lengths: number[] = [];

  /** An answer ended after so many tokens. */
  ended(tokens: number): void {
    this.#lengths.push(tokens);
    if (this.#lengths.length > REMEMBERED) this.#lengths.shift();
  }

  /**
   * Tokens that an answer is likely to get yet: what those got that were as long and went on.
   * @param most that it may get in all
   */
  expectedLeft(generated: number, most = Number.POSITIVE_INFINITY): number {
    const longer = this.#lengths.filter((length) => length > generated);
    const mean =
      longer.length < ENOUGH
        ? Math.max(UNKNOWN_TOKENS, generated) / (longer.length === 0 && this.#lengths.length > ENOUGH ? 2 : 1)
        : longer.reduce((sum, length) => sum + length - generated, 0) / longer.length;
    return Math.max(1, Math.min(mean, most - generated));
  }
}
