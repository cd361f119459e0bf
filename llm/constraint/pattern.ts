import { complement, normalised } from './code-points.js';
import type { GrammarBuilder, Range } from './grammar.js';
import { characterPlace } from './json-string.js';

/** Groups within groups. */
const MAX_GROUPS = 32;

/** A regular expression's tree. */
type Expression =
  | { readonly kind: 'characters'; readonly ranges: readonly Range[] }
  | { readonly kind: 'sequence'; readonly parts: readonly Expression[] }
  | { readonly kind: 'either'; readonly ways: readonly Expression[] }
  | { readonly kind: 'repeat'; readonly body: Expression; readonly least: number; readonly most: number }
  | { readonly kind: 'start' | 'end' };

/** A pattern that cannot be used, and what of it. */
export class PatternError extends Error {}

const DIGIT: Range[] = [[0x30, 0x39]];
const WORD: Range[] = [...DIGIT, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];
/** ECMA-262's white space and line terminators. */
const SPACE: Range[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const LINE_END: Range[] = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const CLASSES: Readonly<Record<string, readonly Range[]>> = {
  d: DIGIT,
  D: complement(DIGIT),
  w: WORD,
  W: complement(WORD),
  s: SPACE,
  S: complement(SPACE),
};
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };
const QUANTIFIERS: Readonly<Record<string, readonly [number, number]>> = {
  '*': [0, Number.POSITIVE_INFINITY],
  '+': [1, Number.POSITIVE_INFINITY],
  '?': [0, 1],
};

/**
 * The inside of a JSON string that matches a regular expression of ECMA-262, with Unicode's code points for characters.
 * Without `^` or `$` anything may stand before or after. No lookaround, no back references, no `\b`, no `\p`.
 *
 * @param anyCharacter the rule for what stands outside of the match
 * @throws PatternError
 */
export function patternPlace(
  grammar: GrammarBuilder,
  pattern: string,
  anyCharacter: number,
  next: number,
): number {
  const expression = new PatternParser(pattern).parse();
  const ways = expression.kind === 'either' ? expression.ways : [expression];
  const anything = (after: number) => grammar.repeat(anyCharacter, 0, Number.POSITIVE_INFINITY, after);
  return grammar.anyOf(
    ways.map((way) => {
      const parts = way.kind === 'sequence' ? [...way.parts] : [way];
      const fromStart = parts[0]?.kind === 'start';
      const toEnd = parts.length > (fromStart ? 1 : 0) && parts.at(-1)?.kind === 'end';
      const inner = parts.slice(fromStart ? 1 : 0, toEnd ? -1 : undefined);
      const place = build(grammar, { kind: 'sequence', parts: inner }, toEnd ? next : anything(next));
      return fromStart ? place : anything(place);
    }),
  );
}

function build(grammar: GrammarBuilder, expression: Expression, next: number): number {
  switch (expression.kind) {
    case 'characters':
      return characterPlace(grammar, expression.ranges, next);
    case 'sequence':
      return expression.parts.reduceRight((after, part) => build(grammar, part, after), next);
    case 'either':
      return grammar.anyOf(expression.ways.map((way) => build(grammar, way, next)));
    case 'repeat': {
      const { body, least, most } = expression;
      // Repeating what may be empty so often at least says nothing more than that it may be there.
      const needed = isNullable(body) ? 0 : least;
      return grammar.repeat(build(grammar, body, grammar.end), needed, most, next);
    }
    default:
      throw new PatternError('^ and $ only at the beginning and at the end');
  }
}

function isNullable(expression: Expression): boolean {
  switch (expression.kind) {
    case 'characters':
      return false;
    case 'sequence':
      return expression.parts.every(isNullable);
    case 'either':
      return expression.ways.some(isNullable);
    case 'repeat':
      return expression.least === 0 || isNullable(expression.body);
    default:
      return true;
  }
}

/** Reads a pattern character by character. */
class PatternParser {
  readonly #characters: readonly string[];
  #at = 0;
  #groups = 0;

  constructor(pattern: string) {
    this.#characters = [...pattern];
  }

  parse(): Expression {
    const expression = this.#alternatives();
    if (this.#peek() !== undefined) throw new PatternError(`a ${this.#peek()} that nothing opens`);
    return expression;
  }

  #peek(): string | undefined {
    return this.#characters[this.#at];
  }

  #take(): string {
    const character = this.#characters[this.#at++];
    if (character === undefined) throw new PatternError('its end comes too early');
    return character;
  }

  #takeIf(text: string): boolean {
    const length = [...text].length;
    if (this.#characters.slice(this.#at, this.#at + length).join('') !== text) return false;
    this.#at += length;
    return true;
  }

  #alternatives(): Expression {
    const ways = [this.#sequence()];
    while (this.#takeIf('|')) ways.push(this.#sequence());
    return ways.length === 1 ? ways[0] : { kind: 'either', ways };
  }

  #sequence(): Expression {
    const parts: Expression[] = [];
    for (let next = this.#peek(); next !== undefined && next !== '|' && next !== ')'; next = this.#peek())
      parts.push(this.#quantified(this.#atom()));
    return { kind: 'sequence', parts };
  }

  #quantified(body: Expression): Expression {
    const counts = this.#quantifier();
    if (counts === undefined) return body;
    if (body.kind === 'start' || body.kind === 'end') throw new PatternError('a repeated ^ or $');
    // Whether a quantifier is lazy makes no difference to what matches.
    this.#takeIf('?');
    if (this.#quantifier() !== undefined) throw new PatternError('a quantifier after another');
    const [least, most] = counts;
    return { kind: 'repeat', body, least, most };
  }

  #quantifier(): readonly [number, number] | undefined {
    const next = this.#peek();
    if (next === undefined) return undefined;
    if (Object.hasOwn(QUANTIFIERS, next)) {
      this.#at++;
      return QUANTIFIERS[next];
    }
    if (next !== '{') return undefined;
    const rest = this.#characters.slice(this.#at, this.#at + 24).join('');
    const counts = /^\{(\d{1,6})(,?)(\d{0,6})\}/.exec(rest);
    if (counts === null) throw new PatternError('a { that begins no quantifier');
    this.#at += counts[0].length;
    const least = Number(counts[1]);
    const most = counts[3] === '' ? (counts[2] === '' ? least : Number.POSITIVE_INFINITY) : Number(counts[3]);
    if ((counts[2] === '' && counts[3] !== '') || most < least)
      throw new PatternError(`the quantifier ${counts[0]}`);
    return [least, most];
  }

  #atom(): Expression {
    const character = this.#take();
    switch (character) {
      case '^':
        return { kind: 'start' };
      case '$':
        return { kind: 'end' };
      case '.':
        return { kind: 'characters', ranges: complement(LINE_END) };
      case '(':
        return this.#group();
      case '[':
        return this.#set();
      case '\\':
        return { kind: 'characters', ranges: this.#escape() };
      case '*':
      case '+':
      case '?':
      case '{':
      case '}':
      case ']':
        throw new PatternError(`a ${character} without what it belongs to`);
      default:
        return { kind: 'characters', ranges: single(character) };
    }
  }

  #group(): Expression {
    if (++this.#groups > MAX_GROUPS) throw new PatternError(`more than ${MAX_GROUPS} groups within another`);
    if (this.#takeIf('?') && !this.#takeIf(':'))
      throw new PatternError('a group that begins with (? other than (?:');
    const inner = this.#alternatives();
    if (!this.#takeIf(')')) throw new PatternError('a ( that is not closed');
    this.#groups--;
    return inner;
  }

  #set(): Expression {
    const negated = this.#takeIf('^');
    const ranges: Range[] = [];
    while (!this.#takeIf(']')) {
      const from = this.#setMember();
      if (this.#peek() !== '-' || this.#characters[this.#at + 1] === ']') {
        ranges.push(...from);
        continue;
      }
      this.#at++;
      const to = this.#setMember();
      const isRange = isSingle(from) && isSingle(to) && from[0][0] <= to[0][0];
      if (!isRange) throw new PatternError('a range of characters that has no order');
      ranges.push([from[0][0], to[0][0]]);
    }
    return { kind: 'characters', ranges: negated ? complement(ranges) : normalised(ranges) };
  }

  #setMember(): readonly Range[] {
    const character = this.#take();
    if (character !== '\\') return single(character);
    return this.#takeIf('b') ? [[8, 8]] : this.#escape();
  }

  #escape(): readonly Range[] {
    const character = this.#take();
    if (Object.hasOwn(CLASSES, character)) return CLASSES[character];
    if (Object.hasOwn(CONTROLS, character)) return [[CONTROLS[character], CONTROLS[character]]];
    if (character === 'x') return this.#code(2);
    if (character === 'u') return this.#code(4);
    if (/[0-9A-Za-z]/.test(character)) throw new PatternError(`\\${character}`);
    return single(character);
  }

  #code(length: number): readonly Range[] {
    const digits = Array.from({ length }, () => this.#take()).join('');
    if (!/^[0-9a-f]+$/i.test(digits)) throw new PatternError(`the escape of ${digits}`);
    const code = Number.parseInt(digits, 16);
    if (code >= 0xd800 && code <= 0xdfff) throw new PatternError(`half of a surrogate pair, \\u${digits}`);
    return [[code, code]];
  }
}

function single(character: string): readonly Range[] {
  const code = character.codePointAt(0) ?? 0;
  return [[code, code]];
}

function isSingle(ranges: readonly Range[]): boolean {
  return ranges.length === 1 && ranges[0][0] === ranges[0][1];
}
