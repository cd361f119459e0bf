import { PAUSE_AFTER, type Pausable } from '../../constraint/index.js';
import type { Metadata } from '../metadata.js';
import { mergeSymbols } from './merge-symbols.js';
import type { TextEncoding } from './text-encoding.js';
import { TokenType } from './token-type.js';
import { unknownFor } from './unencodable.js';
import { invalidVocabulary, type Vocabulary } from './vocabulary.js';

/** SentencePiece writes spaces as U+2581, lower one eighth block. */
const ESCAPED_SPACE = '\u2581';
const utf8 = new TextEncoder();

/**
 * SentencePiece's BPE as llama.cpp runs it (`tokenizer.ggml.model` = "llama"): characters merge to the token of the highest
 * score; a character without a token is spelt in byte tokens, which are found by their names (`<0x41>`), wherever they are.
 */
export class SentencePiece implements TextEncoding {
  readonly addsSpacePrefix: boolean;
  readonly mostBytes: number;
  readonly #vocabulary: Vocabulary;
  readonly #scores: ArrayLike<number>;
  /** The byte token of each byte, -1 where there is none. */
  readonly #byteIds: Int32Array;
  readonly #longestText: number;
  readonly #neighbours: ReadonlySet<number>;

  /** @throws PynqLlmError LLM_TOKENIZER_INVALID, LLM_METADATA_INVALID */
  constructor(metadata: Metadata, vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
    this.addsSpacePrefix = metadata.flag('tokenizer.ggml.add_space_prefix', true);
    this.#scores = readScores(metadata, vocabulary.texts.length);
    this.#byteIds = findByteTokens(vocabulary);
    this.#longestText = vocabulary.texts.reduce((longest, text) => Math.max(longest, text.length), 0);
    this.#neighbours = findNeighbours(vocabulary);
    // As written, because the text may hold U+2581 itself. A character outside the vocabulary may be one token.
    const bytesOf = (text: string) => Buffer.byteLength(text);
    this.mostBytes = vocabulary.texts.reduce((most, text) => Math.max(most, bytesOf(text)), 4);
  }

  *encode(text: string, ids: number[]): Pausable<void> {
    let word = '';
    let last: number | undefined;
    let done = 0;
    for (const character of text) {
      const escaped = character === ' ' ? ESCAPED_SPACE : character;
      const code = escaped.codePointAt(0) ?? 0;
      if (last !== undefined && !this.#neighbours.has(pairOf(last, code))) {
        yield* this.#encodeWord(word, ids);
        word = '';
      }
      word += escaped;
      last = code;
      done += 1;
      if (done % PAUSE_AFTER === 0) yield;
    }
    yield* this.#encodeWord(word, ids);
  }

  /** Tokens of characters each of which stands beside the next in some token: nothing merges with what is around them. */
  *#encodeWord(escaped: string, ids: number[]): Pausable<void> {
    const symbols = yield* mergeSymbols(escaped, (whole, start, _middle, end) =>
      this.#priority(whole, start, end),
    );
    for (const [i, symbol] of symbols.entries()) {
      if (i % PAUSE_AFTER === PAUSE_AFTER - 1) yield;
      const id = this.#vocabulary.idOfText.get(symbol);
      if (id !== undefined) ids.push(id);
      else this.#spell(symbol, ids);
    }
  }

  pieceBytes(id: number): Uint8Array {
    const text = this.#vocabulary.texts[id];
    if (this.#vocabulary.types[id] === TokenType.byte) return Uint8Array.of(byteOfName(text));
    return utf8.encode(text.replaceAll(ESCAPED_SPACE, ' '));
  }

  #priority(text: string, start: number, end: number): number {
    if (end - start > this.#longestText) return Number.NaN;
    const id = this.#vocabulary.idOfText.get(text.slice(start, end));
    return id === undefined ? Number.NaN : -this.#scores[id];
  }

  /** A character without a token of its own: its bytes, or one unknown token if a byte is missing too. */
  #spell(character: string, ids: number[]): void {
    const byteIds = Array.from(utf8.encode(character), (byte) => this.#byteIds[byte]);
    if (byteIds.includes(-1)) ids.push(unknownFor(character, this.#vocabulary));
    else ids.push(...byteIds);
  }
}

/** Two code points as one number. */
function pairOf(first: number, second: number): number {
  return first * 0x20_0000 + second;
}

/** The pairs of code points that stand side by side in a token: between any others no symbols merge. */
function findNeighbours({ idOfText }: Vocabulary): Set<number> {
  const pairs = new Set<number>();
  for (const text of idOfText.keys()) {
    let last: number | undefined;
    for (const character of text) {
      const code = character.codePointAt(0) ?? 0;
      if (last !== undefined) pairs.add(pairOf(last, code));
      last = code;
    }
  }
  return pairs;
}

function readScores(metadata: Metadata, count: number): ArrayLike<number> {
  const key = 'tokenizer.ggml.scores';
  const scores = metadata.numbers(key);
  if (scores === undefined) {
    metadata.assume(key, 'one score for all tokens');
    return new Float32Array(count);
  }
  if (scores.length < count) {
    throw invalidVocabulary(`${key} lists ${scores.length} scores for ${count} tokens.`);
  }
  for (let id = 0; id < count; id += 1) {
    if (!Number.isFinite(scores[id]))
      throw invalidVocabulary(`${key} gives token ${id} the score ${scores[id]}.`);
  }
  return scores;
}

/** By name, as llama.cpp finds them: files without types have byte tokens too. */
function findByteTokens({ texts, types }: Vocabulary): Int32Array {
  const byteIds = new Int32Array(256).fill(-1);
  for (const [id, text] of texts.entries()) {
    const byte = byteOfName(text);
    if (!Number.isNaN(byte)) {
      const isFirst = byteIds[byte] < 0 || types[byteIds[byte]] !== TokenType.byte;
      if (isFirst && (byteIds[byte] < 0 || types[id] === TokenType.byte)) byteIds[byte] = id;
    } else if (types[id] === TokenType.byte)
      throw invalidVocabulary(`Token ${id} is of the type byte, but ${JSON.stringify(text)} names none.`);
  }
  return byteIds;
}

/** The byte that `<0xNN>` names, NaN for any other name. */
function byteOfName(name: string): number {
  return /^<0x[0-9a-f]{2}>$/i.test(name) ? Number.parseInt(name.slice(3, 5), 16) : Number.NaN;
}
