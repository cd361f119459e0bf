import { complement, normalised } from './code-points.js';
import type { Range } from './grammar.js';
import type { Regex, RegexBuilder } from './regex.js';

/** Groups within groups. */
const MAX_GROUPS = 32;
/** Expressions nest as deep as a pattern is long. */
const MAX_PATTERN_LENGTH = 2_000;

/** A regular expression's tree. */
type Expression =
  | { readonly kind: 'characters'; readonly ranges: readonly Range[] }
  | { readonly kind: 'sequence'; readonly parts: readonly Expression[] }
  | { readonly kind: 'either'; readonly ways: readonly Expression[] }
  | { readonly kind: 'repeat'; readonly body: Expression; readonly least: number; readonly most: number }
  | { readonly kind: 'lookahead'; readonly body: Expression; readonly isNegative: boolean }
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

/** How far a part of a pattern is from the text's beginning. */
type Position = 'start' | 'later' | 'unknown';

/**
 * The texts that match a regular expression of ECMA-262, with Unicode's code points for characters. Without `^` or `$`
 * anything may stand before or after. No back references, no lookbehind, no `\b`, no `\p`.
 *
 * @throws PatternError, PynqLlmError LLM_SCHEMA_TOO_LARGE
 */
export function patternRegex(builder: RegexBuilder, pattern: string): Regex {
  if (pattern.length > MAX_PATTERN_LENGTH)
    throw new PatternError(`more than ${MAX_PATTERN_LENGTH} characters`);
  const expression = new PatternParser(pattern).parse();
  const { anything, any } = builder;
  const later = build(builder, expression, anything, 'later');
  if (isPlain(expression)) return builder.sequence(anything, later);
  const atStart = build(builder, expression, anything, 'start');
  return builder.either([atStart, builder.sequence(any, builder.sequence(anything, later))]);
}

/** The texts that go on with `expression` and then with `next`: what a lookahead looks at is all of that. */
function build(builder: RegexBuilder, expression: Expression, next: Regex, position: Position): Regex {
  builder.spend(1);
  switch (expression.kind) {
    case 'characters':
      return builder.sequence(builder.characters(expression.ranges), next);
    case 'sequence': {
      const positions: Position[] = [];
      for (let at = position, i = 0; i < expression.parts.length; i++) {
        positions.push(at);
        at = positionAfter(expression.parts[i], at);
      }
      return expression.parts.reduceRight(
        (after, part, i) => build(builder, part, after, positions[i]),
        next,
      );
    }
    case 'either':
      return builder.either(expression.ways.map((way) => build(builder, way, next, position)));
    case 'repeat':
      return buildRepeat(builder, expression, next, position);
    case 'start':
      if (position === 'unknown') throw new PatternError('a ^ after what may be empty');
      return position === 'start' ? next : builder.nothing;
    case 'end':
      return builder.both([next, builder.empty]);
    case 'lookahead': {
      const seen = build(builder, expression.body, builder.anything, position);
      return builder.both([expression.isNegative ? builder.not(seen) : seen, next]);
    }
  }
}

function buildRepeat(
  builder: RegexBuilder,
  { body, least, most }: Extract<Expression, { kind: 'repeat' }>,
  next: Regex,
  position: Position,
): Regex {
  if (isPlain(body)) {
    const once = build(builder, body, builder.empty, position);
    return builder.sequence(builder.repeat(once, least, most), next);
  }
  if (most > 1) throw new PatternError('a repeated ^, $ or lookahead');
  const once = most === 0 ? builder.nothing : build(builder, body, next, position);
  return least === 0 ? builder.either([next, once]) : once;
}

function positionAfter(part: Expression, position: Position): Position {
  if (position === 'later' || !isNullable(part)) return 'later';
  return part.kind === 'start' || part.kind === 'end' || part.kind === 'lookahead' ? position : 'unknown';
}

/** Whether it is about characters alone, wherever they stand. */
function isPlain(expression: Expression): boolean {
  switch (expression.kind) {
    case 'characters':
      return true;
    case 'sequence':
      return expression.parts.every(isPlain);
    case 'either':
      return expression.ways.every(isPlain);
    case 'repeat':
      return isPlain(expression.body);
    default:
      return false;
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
    if (body.kind === 'start' || body.kind === 'end') throw new PatternError('a repeated ^, $ or lookahead');
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
    const isNegative = this.#takeIf('?!');
    const isLookahead = isNegative || this.#takeIf('?=');
    if (!isLookahead && !this.#takeIf('?:') && this.#takeIf('?') && !this.#skipName())
      throw new PatternError('a group that begins with (? other than (?:, (?=, (?! and (?<name>');
    const body = this.#alternatives();
    if (!this.#takeIf(')')) throw new PatternError('a ( that is not closed');
    this.#groups--;
    return isLookahead ? { kind: 'lookahead', body, isNegative } : body;
  }

  /** A group's name: without references back it means nothing. */
  #skipName(): boolean {
    const name = /^<[A-Za-z_$][\w$]{0,63}>/.exec(this.#characters.slice(this.#at, this.#at + 66).join(''));
    this.#at += name?.[0].length ?? 0;
    return name !== null;
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
