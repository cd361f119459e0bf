import type { Automaton, State } from './automaton.js';
import { PAUSE_AFTER, type Pausable, runToEnd, sortPausably } from './pausable.js';
import type { Vocabulary } from './vocabulary.js';

interface SortedToken {
  readonly id: number;
  readonly bytes: Uint8Array;
  /** How many bytes it has in common with the one before it. */
  readonly common: number;
}

/** The tokens that a mask is about, in the order of their bytes; a vocabulary has very many. */
export function* sortTokens(vocabulary: Vocabulary): Pausable<SortedToken[]> {
  const tokens: { readonly id: number; readonly bytes: Uint8Array }[] = [];
  for (let id = 0; id < vocabulary.vocabSize; id++) {
    if (id % PAUSE_AFTER === PAUSE_AFTER - 1) yield;
    if (vocabulary.isHidden(id) || vocabulary.eosIds.has(id)) continue;
    const bytes = vocabulary.pieceBytes(id);
    if (bytes.length > 0) tokens.push({ id, bytes });
  }
  const sorted: SortedToken[] = [];
  let before: Uint8Array = new Uint8Array();
  for (const { id, bytes } of yield* sortPausably(tokens, (a, b) => Buffer.compare(a.bytes, b.bytes))) {
    sorted.push({ id, bytes, common: commonLength(before, bytes) });
    before = bytes;
    if (sorted.length % PAUSE_AFTER === 0) yield;
  }
  return sorted;
}

/**
 * The tokens of a vocabulary in the order of their bytes, so that what several begin with is tried once: the walk over a
 * trie, without its nodes. Control and unknown tokens, and those without bytes, are not among them.
 */
export class TokenMasks {
  /** Bytes of the longest token. */
  readonly longest: number;
  readonly #words: number;
  readonly #ids: readonly number[];
  readonly #bytes: readonly Uint8Array[];
  /** How many bytes each token has in common with the one before it. */
  readonly #common: readonly number[];
  readonly #endIds: readonly number[];

  constructor(vocabulary: Vocabulary, tokens: readonly SortedToken[] = runToEnd(sortTokens(vocabulary))) {
    this.#words = Math.ceil(vocabulary.vocabSize / 32);
    this.#ids = tokens.map(({ id }) => id);
    this.#bytes = tokens.map(({ bytes }) => bytes);
    this.#common = tokens.map(({ common }) => common);
    this.#endIds = [...vocabulary.eosIds];
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
