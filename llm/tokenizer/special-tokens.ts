import { PAUSE_AFTER, type Pausable } from '../../constraint/index.js';
import { TokenType } from './token-type.js';
import type { Vocabulary } from './vocabulary.js';

/** A token that is recognised by its name before text is encoded. */
interface SpecialToken {
  readonly id: number;
  readonly text: string;
  /** Control and unknown tokens are recognised only in texts that are trusted with them, user-defined ones in every text. */
  readonly needsTrust: boolean;
  /** Whether white space after the token is dropped. */
  readonly stripsRight: boolean;
}

/** A stretch of text, or the id of a special token. */
export type Fragment = string | number;

/** The white space of C's isspace in the "C" locale, which llama.cpp strips. */
const LEADING_SPACE = /^[ \t\n\v\f\r]+/;
/** Characters that are searched for names between two pauses: the search is native. */
const SEARCH_PAUSE_AFTER = 64 * PAUSE_AFTER;

/**
 * A break inside a name, so that it is text and not a token's name: U+FDD0 is a noncharacter, which Unicode reserves for a
 * program's own use (Unicode Standard, 23.7). {@link breakNames} puts it in, the tokenizer takes it out.
 */
export const NAME_BREAK = '\u{fdd0}';
const NAME_BREAK_BYTES = Buffer.byteLength(NAME_BREAK);

/** The special tokens of a vocabulary. */
export class SpecialTokens {
  /** Longest names first, as llama.cpp tries them: "<|end_of_text|>" must not be found as "<|end". */
  readonly #tokens: readonly SpecialToken[];
  /** UTF-8 bytes of the longest name. */
  readonly mostBytes: number;

  /** @param stripsRight see {@link stripsRightOfSpecials} */
  constructor(vocabulary: Vocabulary, stripsRight: (text: string) => boolean) {
    const tokens: SpecialToken[] = [];
    for (const [id, text] of vocabulary.texts.entries()) {
      const type = vocabulary.types[id];
      const needsTrust = type === TokenType.control || type === TokenType.unknown;
      // A name of one character could not be broken by protect, so it is never read as the token.
      const isName = needsTrust ? [...text].length > 1 : type === TokenType.userDefined && text !== '';
      if (isName) {
        tokens.push({ id, text, needsTrust, stripsRight: stripsRight(text) });
      }
    }
    this.#tokens = tokens.sort((a, b) => b.text.length - a.text.length);
    this.mostBytes = tokens.reduce((most, { text }) => Math.max(most, Buffer.byteLength(text)), 0);
  }

  /**
   * Cuts `text` at the names of special tokens.
   *
   * @param isTrusted whether the names of control and unknown tokens mean the tokens
   * @returns fragments in order, no empty texts among them
   */
  *partition(text: string, isTrusted: boolean): Pausable<Fragment[]> {
    let fragments: Fragment[] = text === '' ? [] : [text];
    let looked = 0;
    for (const token of this.#tokens) {
      if (token.needsTrust && !isTrusted) continue;
      looked += text.length;
      if (looked >= SEARCH_PAUSE_AFTER) {
        looked = 0;
        yield;
      }
      if (!text.includes(token.text)) continue;
      const cut: Fragment[] = [];
      for (const [i, fragment] of fragments.entries()) {
        if (i % PAUSE_AFTER === PAUSE_AFTER - 1) yield;
        if (typeof fragment === 'string') yield* cutAt(fragment, token, cut);
        else cut.push(fragment);
      }
      fragments = cut;
    }
    return fragments;
  }

  /**
   * UTF-8 bytes of `text` that are in its tokens whatever they are: all but those that the tokenizer drops.
   *
   * @param isTrusted as for `partition`
   */
  keptBytes(text: string, isTrusted: boolean): number {
    const breaks = isTrusted ? NAME_BREAK_BYTES * countOf(text, NAME_BREAK) : 0;
    const spaces = this.#tokens.some(({ stripsRight }) => stripsRight) ? countSpaces(text) : 0;
    return Buffer.byteLength(text) - breaks - spaces;
  }

  /** The names of control and unknown tokens, longest first. */
  get trustedNames(): string[] {
    return this.#tokens.filter(({ needsTrust }) => needsTrust).map(({ text }) => text);
  }
}

/**
 * `text` with a {@link NAME_BREAK} inside each of `names`, and inside a beginning of such a name at its end, which what
 * follows might complete.
 *
 * @param names longest first
 */
export function breakNames(text: string, names: readonly string[]): string {
  let broken = text.replaceAll(NAME_BREAK, '\u{fffd}');
  for (const name of names) {
    const first = String.fromCodePoint(name.codePointAt(0) ?? 0);
    const rest = name.slice(first.length);
    broken = broken.replaceAll(name, first + NAME_BREAK + rest);
    broken = breakAtEnd(broken, name, first);
  }
  return broken;
}

/** Breaks the longest beginning of `name` that `text`, white space at its end aside, ends with. */
function breakAtEnd(text: string, name: string, first: string): string {
  const trimmed = text.trimEnd();
  for (let length = Math.min(name.length - 1, trimmed.length); length >= first.length; length -= 1) {
    if (!trimmed.endsWith(name.slice(0, length))) continue;
    const at = trimmed.length - length + first.length;
    return text.slice(0, at) + NAME_BREAK + text.slice(at);
  }
  return text;
}

/** Appends to `fragments` those of `text`, cut at the names of one token. */
function* cutAt(text: string, token: SpecialToken, fragments: Fragment[]): Pausable<void> {
  for (let start = 0, found = 0; ; found += 1) {
    if (found % PAUSE_AFTER === PAUSE_AFTER - 1) yield;
    const at = text.indexOf(token.text, start);
    const part = text.slice(start, at < 0 ? undefined : at);
    const kept = found > 0 && token.stripsRight ? part.replace(LEADING_SPACE, '') : part;
    if (kept !== '') fragments.push(kept);
    if (at < 0) return;
    fragments.push(token.id);
    start = at + token.text.length;
  }
}

function countOf(text: string, character: string): number {
  let count = 0;
  for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + 1)) count += 1;
  return count;
}

/** White space that {@link LEADING_SPACE} may strip: space, and tab to carriage return. */
function countSpaces(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === 0x20 || (code >= 0x09 && code <= 0x0d)) count += 1;
  }
  return count;
}

/**
 * Whether white space after a special token of this text is dropped. GGUF files do not say; llama.cpp knows by name that
 * the tokens added to Phi-3 do so, and so does this.
 *
 * @param modelName `general.name`
 */
export function stripsRightOfSpecials(modelName: string): (text: string) => boolean {
  const isPhi3 = /phi-?3/i.test(modelName);
  return (text) => isPhi3 && !['<unk>', '<s>', '<|endoftext|>'].includes(text);
}
