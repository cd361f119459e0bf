import { complement, intersection, utf8Place } from './code-points.js';
import type { GrammarBuilder, Range } from './grammar.js';
import { literals } from './literals.js';

/** Characters that JSON writes only behind a backslash (RFC 8259, section 7). */
const ESCAPED: readonly Range[] = [
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
];
/** Characters as they are in a string. */
const PLAIN: readonly Range[] = complement(ESCAPED);
export const PLAIN_ASCII = intersection(PLAIN, [[0, 0x7f]]);
const BEYOND_ASCII = intersection(PLAIN, [[0x80, 0x10ffff]]);

const SHORT_ESCAPES: ReadonlyMap<number, string> = new Map([
  [0x22, '\\"'],
  [0x5c, '\\\\'],
  [0x08, '\\b'],
  [0x09, '\\t'],
  [0x0a, '\\n'],
  [0x0c, '\\f'],
  [0x0d, '\\r'],
]);

const HEX: readonly Range[] = [
  [0x30, 0x39],
  [0x41, 0x46],
  [0x61, 0x66],
];
const QUOTE: readonly Range[] = [[0x22, 0x22]];

/** A quotation mark. */
export function quote(grammar: GrammarBuilder, next: number): number {
  return grammar.bytes(QUOTE, next);
}

/** A rule for one character of a string, escaped in any way that JSON knows; a pair of surrogates is one character. */
export function anyCharacterRule(grammar: GrammarBuilder): number {
  const { end } = grammar;
  const hex = (count: number, next: number) =>
    Array.from({ length: count }).reduce<number>((after) => grammar.bytes(HEX, after), next);
  const oneOf = (characters: string, next: number) =>
    grammar.bytes(
      Array.from(Buffer.from(characters), (byte): Range => [byte, byte]),
      next,
    );
  const lowSurrogate = grammar.literal('\\u', oneOf('dD', oneOf('cCdDeEfF', hex(2, end))));
  const codes = grammar.anyOf([
    oneOf('0123456789abcefABCEF', hex(3, end)),
    oneOf('dD', oneOf('01234567', hex(2, end))),
    oneOf('dD', oneOf('89abAB', hex(2, lowSurrogate))),
  ]);
  const escaped = grammar.literal('\\', grammar.anyOf([oneOf('"\\/bfnrt', end), oneOf('u', codes)]));
  return grammar.anyOf([utf8Place(grammar, PLAIN, end), escaped]);
}

/** One character of `ranges` within a string, escaped only where it has to be. */
export function characterPlace(grammar: GrammarBuilder, ranges: readonly Range[], next: number): number {
  const ways: number[] = [];
  const plain = intersection(ranges, PLAIN);
  if (plain.length > 0) ways.push(utf8Place(grammar, plain, next));
  const escaped = intersection(ranges, ESCAPED).flatMap(([from, to]) =>
    Array.from({ length: to - from + 1 }, (_, i) => escapeOf(from + i)),
  );
  if (escaped.length > 0) ways.push(literals(grammar, escaped, next));
  return grammar.anyOf(ways);
}

function escapeOf(code: number): string {
  return SHORT_ESCAPES.get(code) ?? `\\u${code.toString(16).padStart(4, '0')}`;
}

interface NameNode {
  readonly children: Map<number, NameNode>;
  isName: boolean;
}

/** A string, quotes included, that is none of `names`; without escapes, which could spell one of them. */
export function otherName(grammar: GrammarBuilder, names: readonly string[], next: number): number {
  const root: NameNode = { children: new Map(), isName: false };
  for (const name of names) {
    let node = root;
    for (const character of name) {
      const code = character.codePointAt(0) ?? 0;
      let child = node.children.get(code);
      if (child === undefined) {
        child = { children: new Map(), isName: false };
        node.children.set(code, child);
      }
      node = child;
    }
    node.isName = true;
  }
  const close = quote(grammar, next);
  const free = grammar.repeat(utf8Place(grammar, PLAIN, grammar.end), 0, Number.POSITIVE_INFINITY, close);
  const beyondAscii = utf8Place(grammar, BEYOND_ASCII, free);
  const placeOf = (node: NameNode): number => {
    const codes = [...node.children.keys()];
    const taken = complement(codes.map((code): Range => [code, code]));
    const ways = [utf8Place(grammar, intersection(taken, PLAIN_ASCII), free)];
    // Most names are ASCII: all other characters then lead on in the same way.
    const isAscii = codes.every((code) => code < 0x80);
    ways.push(isAscii ? beyondAscii : utf8Place(grammar, intersection(taken, BEYOND_ASCII), free));
    for (const [code, child] of node.children)
      if (intersection([[code, code]], PLAIN).length > 0)
        ways.push(utf8Place(grammar, [[code, code]], placeOf(child)));
    if (!node.isName) ways.push(close);
    return grammar.anyOf(ways);
  };
  return quote(grammar, placeOf(root));
}
