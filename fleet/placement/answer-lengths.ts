/** Answers that are remembered. */
const REMEMBERED = 256;
/** What an answer is taken for while nobody has seen one. */
const UNKNOWN_TOKENS = 128;
/** Answers that must have gone on beyond a length for their mean to say anything. */
const ENOUGH = 4;

/** How long answers have been: nobody knows how long one will be. */
export class AnswerLengths {
  /** In the order of their ends. */
  readonly #lengths: number[] = [];
  /** From the longest to the shortest, and the sums of so many of them; undefined where they changed. */
  #sorted: { readonly lengths: readonly number[]; readonly sums: readonly number[] } | undefined;

  /** An answer ended after so many tokens. */
  ended(tokens: number): void {
    this.#lengths.push(tokens);
    if (this.#lengths.length > REMEMBERED) this.#lengths.shift();
    this.#sorted = undefined;
  }

  /**
   * Tokens that an answer is likely to get yet: as many on average as those that were as long and went on. One that is longer than
   * nearly all is taken to double.
   * @param most that it may get in all
   */
  expectedLeft(generated: number, most = Number.POSITIVE_INFINITY): number {
    this.#sorted ??= sorted(this.#lengths);
    const { lengths, sums } = this.#sorted;
    const longer = countAbove(lengths, generated);
    const mean = longer < ENOUGH ? Math.max(UNKNOWN_TOKENS, generated) : sums[longer]! / longer - generated;
    return Math.max(1, Math.min(mean, most - generated));
  }
}

function sorted(lengths: readonly number[]) {
  const descending = lengths.toSorted((a, b) => b - a);
  const sums = [0];
  for (const length of descending) sums.push(sums.at(-1)! + length);
  return { lengths: descending, sums };
}

/** How many of these, from the longest to the shortest, are longer. */
function countAbove(lengths: readonly number[], tokens: number): number {
  let [low, high] = [0, lengths.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lengths[middle]! > tokens) low = middle + 1;
    else high = middle;
  }
  return low;
}
