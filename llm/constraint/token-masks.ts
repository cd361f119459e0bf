import type { Tokenizer } from '../tokenizer/index.js';
import type { Automaton, State } from './automaton.js';

/**
 * The tokens of a vocabulary in the order of their bytes, so that what several begin with is tried once: the walk over a
 * trie, without its nodes. Control and unknown tokens, and those without bytes, are not among them.
 */
export class TokenMasks {
  /** Bytes of the longest token. */
  readonly longest: number;
  readonly #words: number;
  readonly #ids: Int32Array;
  readonly #bytes: readonly Uint8Array[];
  /** How many bytes each token has in common with the one before it. */
  readonly #common: Int32Array;
  readonly #endIds: readonly number[];

  constructor(tokenizer: Tokenizer) {
    const tokens = Array.from({ length: tokenizer.vocabSize }, (_, id) => id)
      .filter((id) => !tokenizer.isHidden(id) && !tokenizer.eosIds.has(id))
      .map((id) => ({ id, bytes: tokenizer.pieceBytes(id) }))
      .filter(({ bytes }) => bytes.length > 0)
      .toSorted((a, b) => Buffer.compare(a.bytes, b.bytes));
    this.#words = Math.ceil(tokenizer.vocabSize / 32);
    this.#ids = Int32Array.from(tokens, ({ id }) => id);
    this.#bytes = tokens.map(({ bytes }) => bytes);
    this.#common = Int32Array.from(tokens, ({ bytes }, i) =>
      i === 0 ? 0 : commonLength(tokens[i - 1].bytes, bytes),
    );
    this.#endIds = [...tokenizer.eosIds];
    this.longest = tokens.reduce((longest, { bytes }) => Math.max(longest, bytes.length), 1);
  }

  /** One bit a token, from the lowest of each word: whether it may come next. Those that end the text may after a whole document. */
  of(automaton: Automaton, state: State): Uint32Array {
    if (state.mask !== undefined) return state.mask;
    automaton.beginWork();
    const canonical = automaton.canonical(state);
    const mask = canonical.mask ?? this.#compute(automaton, canonical);
    if (canonical.mask === undefined) automaton.keep(canonical, mask);
    state.mask = mask;
    return mask;
  }

  #compute(automaton: Automaton, start: State): Uint32Array {
    const mask = new Uint32Array(this.#words);
    const allow = (id: number) => {
      mask[id >>> 5] |= 1 << (id & 31);
    };
    if (start.isComplete) this.#endIds.forEach(allow);
    // After so many bytes of the token at hand.
    const states: State[] = [start];
    for (let i = 0; i < this.#ids.length; ) {
      const bytes = this.#bytes[i];
      let depth = this.#common[i];
      let state: State | undefined = states[depth];
      while (state !== undefined && depth < bytes.length) {
        state = automaton.step(state, bytes[depth]);
        depth++;
        if (state !== undefined) states[depth] = state;
      }
      if (state !== undefined) allow(this.#ids[i]);
      i++;
      // Tokens that begin with the bytes that cannot come.
      if (state === undefined) while (i < this.#ids.length && this.#common[i] >= depth) i++;
    }
    return mask;
  }
}

function commonLength(a: Uint8Array, b: Uint8Array): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
