/** The longest run of tokens that is looked up, and the shortest that a draft is made from. */
const LONGEST = 3;
const SHORTEST = 2;

/**
 * Drafts a sequence's continuation from its own past: where its last tokens stood before, what followed them then is
 * proposed again (prompt lookup decoding). Costs a few map accesses a token and never asks the model.
 */
export class PromptLookup {
  readonly #tokens: number[] = [];
  readonly #vocabSize: number;
  /** For runs of 2 and of 3 tokens: where the latest such run that something follows ends. */
  readonly #ends = new Map<number, Map<number, number>>();

  /** @param vocabSize at most 2^17, so that a run of three tokens is one exact number */
  constructor(vocabSize: number) {
    this.#vocabSize = vocabSize;
    for (let length = SHORTEST; length <= LONGEST; length++) this.#ends.set(length, new Map());
  }

  /** Takes note of the next token of the sequence. */
  push(token: number): void {
    // The run that ended before is found from now on: something follows it.
    for (const [length, ends] of this.#ends)
      if (this.#tokens.length >= length) ends.set(this.#lastRun(length), this.#tokens.length);
    this.#tokens.push(token);
  }

  /** Up to `most` tokens that may come next; none where the last tokens are new together. */
  draft(most: number): number[] {
    for (let length = LONGEST; length >= SHORTEST; length--) {
      if (this.#tokens.length < length) continue;
      const end = this.#ends.get(length)?.get(this.#lastRun(length));
      if (end !== undefined) return this.#continuation(end, most);
    }
    return [];
  }

  /** What followed `end`; past the sequence's end it goes round, as a sequence that repeats itself does. */
  #continuation(end: number, most: number): number[] {
    const period = this.#tokens.length - end;
    return Array.from({ length: most }, (_, i) => this.#tokens[end + (i % period)]);
  }

  #lastRun(length: number): number {
    let run = 0;
    for (let i = this.#tokens.length - length; i < this.#tokens.length; i++)
      run = run * this.#vocabSize + this.#tokens[i];
    return run;
  }
}
