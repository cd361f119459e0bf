import type { Metadata } from '../metadata.js';
import { BYTE_OF_CHARACTER, CHARACTER_OF_BYTE } from './byte-alphabet.js';
import { mergeSymbols } from './merge-symbols.js';
import { type PreTokenizer, splitWords } from './pre-tokenizers.js';
import type { TextEncoding } from './text-encoding.js';
import { unknownFor } from './unencodable.js';
import { invalidVocabulary, type Vocabulary } from './vocabulary.js';

const utf8 = new TextEncoder();

/**
 * GPT-2's byte-level byte-pair encoding (`tokenizer.ggml.model` = "gpt2"): text is cut into words, the bytes of a word are
 * written in GPT-2's alphabet and merge in the order of the list of merges.
 */
export class BytePair implements TextEncoding {
  readonly addsSpacePrefix = false;
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
  }

  encode(text: string, ids: number[]): void {
    for (const word of splitWords(text, this.#preTokenizer)) {
      const written = Array.from(utf8.encode(word), (byte) => CHARACTER_OF_BYTE[byte]).join('');
      const whole = this.#preTokenizer.ignoreMerges ? this.#vocabulary.idOfText.get(written) : undefined;
      if (whole !== undefined) ids.push(whole);
      else this.#encodeWord(written, ids);
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

  #encodeWord(written: string, ids: number[]): void {
    const symbols = mergeSymbols(written, (text, start, middle, end) =>
      end - start > this.#longestText
        ? Number.NaN
        : (this.#ranks.get(`${text.slice(start, middle)} ${text.slice(middle, end)}`) ?? Number.NaN),
    );
    for (const symbol of symbols) {
      const id = this.#vocabulary.idOfText.get(symbol);
      if (id !== undefined) ids.push(id);
      else for (const character of symbol) ids.push(this.#idOfByte(character));
    }
  }

  #idOfByte(character: string): number {
    return this.#vocabulary.idOfText.get(character) ?? unknownFor(character, this.#vocabulary);
  }
}

function readMerges(metadata: Metadata): Map<string, number> {
  const key = 'tokenizer.ggml.merges';
  const merges = metadata.texts(key);
  if (merges === undefined) throw invalidVocabulary(`${key} is missing.`);
  const ranks = new Map<string, number>();
  for (const [rank, merge] of merges.entries()) {
    const space = merge.indexOf(' ');
    if (space <= 0 || space === merge.length - 1 || merge.includes(' ', space + 1)) {
      throw invalidVocabulary(
        `Entry ${rank} of ${key} is ${JSON.stringify(merge)}, not two symbols with a space between.`,
      );
    }
    if (!ranks.has(merge)) ranks.set(merge, rank);
  }
  return ranks;
}
