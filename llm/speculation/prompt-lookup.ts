/** Runs of so many tokens are looked up, the longest first. */
const LENGTHS = [3, 2, 1] as const;
/** Tokens that are compared to tell how well a place agrees. */
const MOST_MATCHED = 16;

/** What may come next. */
export interface Draft {
  readonly tokens: readonly number[];
  /** How many tokens before it agree with the place that it was found at, up to 16. */
  readonly matched: number;
}

export const NO_DRAFT: Draft = { tokens: [], matched: 0 };

/**
 * Drafts a sequence's continuation from its own past: where its last tokens stood before, what followed them then is
 * proposed again (prompt lookup decoding). Costs a few map accesses a token and never asks the model.
 */
export class PromptLookup {
  readonly #tokens: number[] = [];
  readonly #vocabSize: number;
  /** For each length of runs: where the latest such run that something follows ends. */
  readonly #ends = new Map<number, Map<number, number>>(LENGTHS.map((length) => [length, new Map()]));

  /** @param vocabSize at most 2^17, so that a run of three tokens is one exact number */
  constructor(vocabSize: number) {
    this.#vocabSize = vocabSize;
  }

  /** Takes note of the next token of the sequence. */
  push(token: number): void {
    // The run that ended before is found from now on: something follows it.
    for (const [length, ends] of this.#ends)
      if (this.#tokens.length >= length) ends.set(this.#lastRun(length), this.#tokens.length);
    this.#tokens.push(token);
  }

  /** Up to `most` tokens that may come next; none where the last token is new. */
  draft(most: number): Draft {
    for (const length of LENGTHS) {
      if (this.#tokens.length < length) continue;
      const end = this.#ends.get(length)?.get(this.#lastRun(length));
      if (end !== undefined) return { tokens: this.#continuation(end, most), matched: this.#matched(end) };
    }
    return NO_DRAFT;
  }

  /** What followed `end`; past the sequence's end it goes round, as a sequence that repeats itself does. */
  #continuation(end: number, most: number): number[] {
    const period = this.#tokens.length - end;
    return Array.from({ length: most }, (_, i) => this.#tokens[end + (i % period)]);
  }

  /** How many tokens before `end` are those before the sequence's end. */
  #matched(end: number): number {
    const last = this.#tokens.length;
    let matched = 0;
    while (
      matched < MOST_MATCHED &&
      matched < end &&
      this.#tokens[end - 1 - matched] === this.#tokens[last - 1 - matched]
    )
      matched++;
    return matched;
  }

  #lastRun(length: number): number {
    let run = 0;
    for (let i = this.#tokens.length - length; i < this.#tokens.length; i++)
      run = run * this.#vocabSize + this.#tokens[i];
    return run;
  }
}
