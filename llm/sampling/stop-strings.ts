import { PynqLlmError } from '../../errors/index.js';

/** Each piece of text is searched for every string: more or longer ones would let a request slow all others down. */
const MOST_STRINGS = 16;
const LONGEST_STRING = 512;

/** What may be shown after a piece of text. */
export interface StopResult {
  /** Text that no stop string can reach back to any more. */
  readonly text: string;
  /** The stop string that was found; it and all after it is not in `text`, and there is no more to come. */
  readonly stop?: string;
  /** Whether it is one of the model's own ends, and not asked for. */
  readonly isEnd?: boolean;
}

/**
 * Finds the first of several stop strings in text that comes in pieces, wherever the pieces part. Of several the one that
 * is complete first counts, and of those the longest, so that the result does not depend on the pieces.
 */
export class StopStrings {
  readonly #strings: readonly string[];
  readonly #ends: readonly string[];
  /** Text not yet shown: a stop string might begin in it. */
  #held = '';
  #found = false;

  /**
   * @param strings what the request asks for
   * @param ends what the model writes at its end: none of it is shown, nor the beginning of one at the very end
   * @throws PynqLlmError LLM_SAMPLING_PARAMETER for more than 16 strings, or one that is empty or over 512 characters long
   */
  constructor(strings: readonly string[], ends: readonly string[] = []) {
    const isValid =
      strings.length <= MOST_STRINGS &&
      strings.every((each) => each.length > 0 && each.length <= LONGEST_STRING);
    if (!isValid) {
      throw new PynqLlmError(
        'LLM_SAMPLING_PARAMETER',
        `The stop strings have to be at most ${MOST_STRINGS}, each of 1 to ${LONGEST_STRING} characters.`,
        {
          context: {
            parameter: 'stop',
            lengths: strings.slice(0, MOST_STRINGS + 1).map((each) => each.length),
          },
        },
      );
    }
    this.#ends = ends.filter((end) => !strings.includes(end));
    this.#strings = [...strings, ...this.#ends];
  }

  push(piece: string): StopResult {
    if (this.#found) return { text: '' };
    const text = this.#held + piece;
    const found = this.#find(text);
    if (found !== undefined) {
      this.#held = '';
      this.#found = true;
      const isEnd = this.#ends.includes(found.string);
      return { text: text.slice(0, found.start), stop: found.string, isEnd };
    }
    const shown = text.length - countBegun(text, this.#strings);
    this.#held = text.slice(shown);
    return { text: text.slice(0, shown) };
  }

  /** The text held back, where no more is to come. */
  flush(): string {
    const rest = this.#held;
    this.#held = '';
    return rest.slice(0, rest.length - countBegun(rest, this.#ends));
  }

  #find(text: string): { start: number; string: string } | undefined {
    let first: { start: number; end: number; string: string } | undefined;
    for (const string of this.#strings) {
      const start = text.indexOf(string);
      if (start < 0) continue;
      const end = start + string.length;
      if (first === undefined || end < first.end || (end === first.end && start < first.start)) {
        first = { start, end, string };
      }
    }
    return first;
  }
}

/** The length of the longest end of `text` that one of the strings begins with. */
function countBegun(text: string, strings: readonly string[]): number {
  let longest = 0;
  for (const string of strings) {
    for (let length = Math.min(string.length - 1, text.length); length > longest; length -= 1) {
      if (text.endsWith(string.slice(0, length))) longest = length;
    }
  }
  return longest;
}
