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

/**
 * A break inside a name, so that it is text and not a token's name: U+FDD0 is a noncharacter, which Unicode reserves for a
 * program's own use (Unicode Standard, 23.7). {@link SpecialTokens.protect} puts it in, the tokenizer takes it out.
 */
export const NAME_BREAK = '\u{fdd0}';

/** The special tokens of a vocabulary. */
export class SpecialTokens {
  /** Longest names first, as llama.cpp tries them: "<|end_of_text|>" must not be found as "<|end". */
  readonly #tokens: readonly SpecialToken[];

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
  }

  /**
   * Cuts `text` at the names of special tokens.
   *
   * @param isTrusted whether the names of control and unknown tokens mean the tokens
   * @returns fragments in order, no empty texts among them
   */
  partition(text: string, isTrusted: boolean): Fragment[] {
    let fragments: Fragment[] = text === '' ? [] : [text];
    for (const token of this.#tokens) {
      if ((token.needsTrust && !isTrusted) || !text.includes(token.text)) continue;
      fragments = fragments.flatMap((fragment) =>
        typeof fragment === 'string' ? cutAt(fragment, token) : [fragment],
      );
    }
    return fragments;
  }

  /**
   * `text` with a {@link NAME_BREAK} inside each name of a control or unknown token, and inside a beginning of such a name
   * at its end, which what follows might complete.
   */
  protect(text: string): string {
    let broken = text.replaceAll(NAME_BREAK, '\u{fffd}');
    for (const { text: name, needsTrust } of this.#tokens) {
      if (!needsTrust) continue;
      const first = String.fromCodePoint(name.codePointAt(0) ?? 0);
      const rest = name.slice(first.length);
      broken = broken.replaceAll(name, first + NAME_BREAK + rest);
      broken = breakAtEnd(broken, name, first);
    }
    return broken;
  }
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

function cutAt(text: string, token: SpecialToken): Fragment[] {
  const fragments: Fragment[] = [];
  for (const [i, part] of text.split(token.text).entries()) {
    if (i > 0) fragments.push(token.id);
    const kept = i > 0 && token.stripsRight ? part.replace(LEADING_SPACE, '') : part;
    if (kept !== '') fragments.push(kept);
  }
  return fragments;
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
