import { PAUSE_AFTER, type Pausable, runToEnd } from '../../constraint/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { type DetokenizerStream, detokenizerStream } from './detokenizer.js';
import { breakNames, NAME_BREAK, type SpecialTokens } from './special-tokens.js';
import type { TextEncoding } from './text-encoding.js';
import { TokenType } from './token-type.js';
import type { Vocabulary } from './vocabulary.js';

export interface EncodeOptions {
  /** Whether names of control tokens in the text mean the tokens (default: no; never for text from outside). */
  readonly parseSpecial?: boolean;
  /** Whether BOS and EOS are added where the model wants them (default: yes). */
  readonly addSpecial?: boolean;
}

export interface DecodeOptions {
  /** Whether control and unknown tokens appear by their names (default: no). */
  readonly special?: boolean;
  /** Whether the tokens continue a text, so that a space at their beginning is the text's own (default: no). */
  readonly continuation?: boolean;
}

const NO_BYTES = new Uint8Array(0);
const utf8 = new TextEncoder();

/** Text to tokens and back, by one model's vocabulary. */
export class Tokenizer {
  /** The token that begins a text, if the vocabulary has one. */
  readonly bosId: number | undefined;
  /** The token that ends a text, if the vocabulary names one; generations end at any of `eosIds`. */
  readonly eosId: number | undefined;
  /** Tokens after which a generation ends. */
  readonly eosIds: ReadonlySet<number>;
  /** Tokens in the vocabulary; ids are 0 to one less. */
  readonly vocabSize: number;
  /** Whether the model wants its texts to begin with BOS. */
  readonly addsBos: boolean;
  /** The names of control and unknown tokens, longest first; see `protect`. */
  readonly trustedNames: readonly string[];
  /** The chat template in the model file (Jinja source). */
  readonly chatTemplate: string | undefined;
  /** Texts that the model ends with where it writes its end as ordinary tokens (`pynq_llm.stop`). */
  readonly endTexts: readonly string[];
  readonly #vocabulary: Vocabulary;
  readonly #encoding: TextEncoding;
  readonly #specials: SpecialTokens;

  constructor(parts: {
    vocabulary: Vocabulary;
    encoding: TextEncoding;
    specials: SpecialTokens;
    chatTemplate: string | undefined;
    endTexts: readonly string[];
  }) {
    this.#vocabulary = parts.vocabulary;
    this.#encoding = parts.encoding;
    this.#specials = parts.specials;
    this.chatTemplate = parts.chatTemplate;
    this.endTexts = parts.endTexts;
    this.bosId = parts.vocabulary.bosId;
    this.eosId = parts.vocabulary.eosId;
    this.eosIds = parts.vocabulary.endIds;
    this.vocabSize = parts.vocabulary.texts.length;
    this.addsBos = parts.vocabulary.addBos;
    this.trustedNames = parts.specials.trustedNames;
  }

  /**
   * The tokens of `text`. Lone surrogates count as U+FFFD.
   *
   * @throws PynqLlmError LLM_TEXT_UNENCODABLE
   */
  encode(text: string, options: EncodeOptions = {}): number[] {
    return runToEnd(this.encodePausably(text, options));
  }

  /**
   * The same with pauses for other work, and no further than to the first token over `most`, or soon after it: a result
   * that is longer is not the whole text's.
   *
   * @throws PynqLlmError LLM_TEXT_UNENCODABLE
   */
  *encodePausably(
    text: string,
    { parseSpecial = false, addSpecial = true }: EncodeOptions = {},
    most = Number.POSITIVE_INFINITY,
  ): Pausable<number[]> {
    const { bosId, eosId, addBos, addEos } = this.#vocabulary;
    const ids: number[] = [];
    if (addSpecial && addBos && bosId !== undefined) ids.push(bosId);
    const wellFormed = text.toWellFormed();
    // As in llama.cpp, each stretch of text after a special token begins anew, with a space of its own.
    let isAtStart = true;
    const fragments = yield* this.#specials.partition(wellFormed, parseSpecial);
    for (const [i, fragment] of fragments.entries()) {
      if (i % PAUSE_AFTER === PAUSE_AFTER - 1) yield;
      if (typeof fragment === 'number') {
        ids.push(fragment);
      } else {
        const plain = parseSpecial ? fragment.split(NAME_BREAK).join('') : fragment;
        const prefix = isAtStart && this.#encoding.addsSpacePrefix ? ' ' : '';
        if (plain !== '')
          for (const _ of this.#encoding.encode(prefix + plain, ids)) {
            if (ids.length > most) return ids;
            yield;
          }
      }
      if (ids.length > most) return ids;
      isAtStart = typeof fragment === 'number';
    }
    if (addSpecial && addEos && eosId !== undefined) ids.push(eosId);
    return ids;
  }

  /** Tokens that `text` has at least, by its length in bytes: found at once, and never more than it has. */
  leastTokens(text: string, { parseSpecial = false }: EncodeOptions = {}): number {
    const most = Math.max(this.#encoding.mostBytes, this.#specials.mostBytes);
    return Math.ceil(this.#specials.keptBytes(text, parseSpecial) / most);
  }

  /**
   * `text` in a form that `encode` with `parseSpecial` takes as text only, even where it holds names of control tokens.
   * For text from outside that is put into a trusted frame, such as a message into a chat template.
   */
  protect(text: string): string {
    return breakNames(text, this.trustedNames);
  }

  /**
   * The text of `ids`: what a stream gives for them, joined.
   *
   * @throws PynqLlmError LLM_TOKEN_RANGE
   */
  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    const stream = this.stream(options);
    let text = '';
    for (const id of ids) text += stream.push(id);
    return text + stream.flush();
  }

  /** A detokenizer for one text, token by token. */
  stream(options: DecodeOptions = {}): DetokenizerStream {
    const { special = false, continuation = false } = options;
    return detokenizerStream(
      (id) => (!special && this.isHidden(id) ? NO_BYTES : this.pieceBytes(id)),
      this.#encoding.addsSpacePrefix && !continuation,
    );
  }

  /**
   * The bytes that a token stands for, not always whole UTF-8 characters; of a control token, its name.
   *
   * @throws PynqLlmError LLM_TOKEN_RANGE
   */
  pieceBytes(id: number): Uint8Array {
    const type = this.#typeOf(id);
    const isNamed =
      type === TokenType.control || type === TokenType.unknown || type === TokenType.userDefined;
    return isNamed ? utf8.encode(this.#vocabulary.texts[id]) : this.#encoding.pieceBytes(id);
  }

  /** Whether a token is left out of texts: control and unknown tokens. @throws PynqLlmError LLM_TOKEN_RANGE */
  isHidden(id: number): boolean {
    const type = this.#typeOf(id);
    return type === TokenType.control || type === TokenType.unknown;
  }

  #typeOf(id: number): number {
    const type = this.#vocabulary.types[id];
    if (type !== undefined) return type;
    throw new PynqLlmError(
      'LLM_TOKEN_RANGE',
      `The token ${id} is not in the vocabulary of ${this.vocabSize}.`,
      {
        context: { token: String(id), vocabulary: this.vocabSize },
      },
    );
  }
}
