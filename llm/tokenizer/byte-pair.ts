import { PAUSE_AFTER, type Pausable } from '../../constraint/index.js';
import type { Metadata } from '../metadata.js';
import { BYTE_OF_CHARACTER, CHARACTER_OF_BYTE } from './byte-alphabet.js';
import { mergeSymbols } from './merge-symbols.js';
import { type PreTokenizer, splitWords } from './pre-tokenizers.js';
import type { TextEncoding } from './text-encoding.js';
import { unknownFor } from './unencodable.js';
import { invalidVocabulary, type Vocabulary } from './vocabulary.js';

const utf8 = new TextEncoder();
const CODE_OF_BYTE = CHARACTER_OF_BYTE.map((character) => character.charCodeAt(0));

/**
 * GPT-2's byte-level byte-pair encoding (`tokenizer.ggml.model` = "gpt2"): text is cut into words, the bytes of a word are
 * written in GPT-2's alphabet and merge in the order of the list of merges.
 */
export class BytePair implements TextEncoding {
  readonly addsSpacePrefix = false;
  readonly mostBytes: number;
  readonly #vocabulary: Vocabulary;
  readonly #preTokenizer: PreTokenizer;
  /** Place of "left right" in the list of merges. */
  readonly #ranks: ReadonlyMap<string, number>;
  readonly #longestText: number;

  /** @throws PynqLlmError LLM_TOKENIZER_INVALID, LLM_METADATA_INVALID */
  constructor(metadata: Metadata, vocabulary: Vocabulary, preTokenizer: PreTokenizer) {
    this.#vocabulary = vocabulary;
    this.#preTokenizer = preTokenizer;
    this.#ranks = readMerges(metadata);
    this.#longestText = vocabulary.texts.reduce((longest, text) => Math.max(longest, text.length), 0);
    // A character of the alphabet is a byte; a byte that is not in the vocabulary is a token, too.
    this.mostBytes = Math.max(1, this.#longestText);
  }

  *encode(text: string, ids: number[]): Pausable<void> {
    let done = 0;
    for (const word of splitWords(text, this.#preTokenizer)) {
      done += word.length;
      if (done >= PAUSE_AFTER) {
        done = 0;
        yield;
      }
      const written = yield* writeBytes(word);
      const whole = this.#preTokenizer.ignoreMerges ? this.#vocabulary.idOfText.get(written) : undefined;
      if (whole !== undefined) ids.push(whole);
      else yield* this.#encodeWord(written, ids);
    }
  }

  pieceBytes(id: number): Uint8Array {
    const bytes: number[] = [];
    for (const character of this.#vocabulary.texts[id]) {
      const byte = BYTE_OF_CHARACTER.get(character);
      // A character outside the alphabet stands for itself: added tokens are sometimes written so.
      if (byte !== undefined) bytes.push(byte);
      else bytes.push(...utf8.encode(character));
    }
    return Uint8Array.from(bytes);
  }

  *#encodeWord(written: string, ids: number[]): Pausable<void> {
    const symbols = yield* mergeSymbols(written, (text, start, middle, end) =>
      end - start > this.#longestText
        ? Number.NaN
        : (this.#ranks.get(`${text.slice(start, middle)} ${text.slice(middle, end)}`) ?? Number.NaN),
    );
    for (const [i, symbol] of symbols.entries()) {
      if (i % PAUSE_AFTER === PAUSE_AFTER - 1) yield;
      const id = this.#vocabulary.idOfText.get(symbol);
      if (id !== undefined) ids.push(id);
      else for (const character of symbol) ids.push(this.#idOfByte(character));
    }
  }

  #idOfByte(character: string): number {
    return this.#vocabulary.idOfText.get(character) ?? unknownFor(character, this.#vocabulary);
  }
}

/** The bytes of a word in the alphabet. */
function* writeBytes(word: string): Pausable<string> {
  const bytes = utf8.encode(word);
  const parts: string[] = [];
  for (let start = 0; start < bytes.length; start += PAUSE_AFTER) {
    if (start > 0) yield;
    const codes = Array.from(bytes.subarray(start, start + PAUSE_AFTER), (byte) => CODE_OF_BYTE[byte]);
    parts.push(String.fromCharCode(...codes));
  }
  return parts.join('');
}

function readMerges(metadata: Metadata): Map<string, number> {
  const key = 'tokenizer.ggml.merges';
  const merges = metadata.texts(key);
  if (merges === undefined) throw invalidVocabulary(`${key} is missing.`);
  const ranks = new Map<string, number>();
  let odd = 0;
  for (const [rank, merge] of merges.entries()) {
    const space = merge.indexOf(' ');
    // Others than two symbols with a space between are never looked for.
    if (space <= 0 || space === merge.length - 1) odd += 1;
    else if (!ranks.has(merge)) ranks.set(merge, rank);
  }
  if (odd > 0) metadata.assume(key, `nothing of ${odd} entries that are not two symbols`);
  return ranks;
}
