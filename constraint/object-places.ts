import { PynqLlmError } from '../errors/index.js';
import type { Facts } from './facts.js';
import type { GrammarBuilder } from './grammar.js';
import { otherName, quote } from './json-string.js';
import type { Regex } from './regex.js';
import type { Located } from './schema-reader.js';
import type { SchemaTree } from './schema-tree.js';
import type { StringPlaces } from './string-places.js';

const MAX_NAME_LENGTH = 256;
/** Patterns for names: each set of them that a name may match is a way of its own. */
const MAX_NAME_PATTERNS = 4;

/** What values are written with. */
export interface ValueWriter {
  readonly grammar: GrammarBuilder;
  readonly tree: SchemaTree;
  readonly strings: StringPlaces;
  space(next: number): number;
  value(schemas: readonly Located[], nesting: number, next: number): number;
}

/** Properties in their order; those that are not required may be left out; others after them, where they may be. */
export function objectPlace(writer: ValueWriter, facts: Facts, nesting: number, next: number): number {
  return new ObjectPlaces(writer, facts, nesting, next).place();
}

class ObjectPlaces {
  readonly #writer: ValueWriter;
  readonly #facts: Facts;
  readonly #nesting: number;
  readonly #close: number;
  readonly #names: readonly string[];
  readonly #required: ReadonlySet<string>;
  /** A rule for a property with a name of its own; undefined where there may be none. */
  readonly #other: number | undefined;
  readonly #least: number;
  readonly #most: number;
  /** Whether it matters how many properties have been written. */
  readonly #isCounted: boolean;

  constructor(writer: ValueWriter, facts: Facts, nesting: number, next: number) {
    this.#writer = writer;
    this.#facts = facts;
    this.#nesting = nesting;
    this.#close = writer.grammar.literal('}', next);
    this.#required = facts.required;
    const { names, filter } = this.#namesAndFilter();
    this.#names = names;
    const tooLong = names.find((name) => name.length > MAX_NAME_LENGTH);
    if (tooLong !== undefined)
      throw new PynqLlmError('LLM_SCHEMA_TOO_LARGE', `A property's name has ${tooLong.length} characters.`);
    this.#other = filter === undefined ? undefined : this.#otherMember(filter);
    const { least, most } = facts.propertyCounts;
    this.#least = least;
    this.#most = most;
    const isMore = least > this.#required.size;
    this.#isCounted = isMore || most < names.length || (this.#other !== undefined && Number.isFinite(most));
    // Others may have the same name twice, and count once.
    if (isMore && least > 1 && this.#other !== undefined)
      throw facts.unsupported('minProperties', `"minProperties" of ${least} beside properties of any name`);
  }

  place(): number {
    const { grammar } = this.#writer;
    const names = this.#names;
    if ([...this.#required].some((name) => !names.includes(name))) return grammar.anyOf([]);
    const counts = Array.from(
      { length: this.#isCounted ? Math.min(this.#most, names.length) + 1 : 1 },
      (_, i) => i,
    );
    const end = this.#writer.space(this.#close);
    let mayEnd = true;
    /** By how many have been written: the next name, and what comes after a property. */
    let choices = counts.map((count) => this.#others(count, end));
    let tails = counts.map((count) => this.#furtherOthers(count, end));
    for (const name of names.toReversed()) {
      const isRequired = this.#required.has(name);
      mayEnd &&= !isRequired;
      const member = this.#member(name);
      const [nextChoices, nextTails] = [choices, tails];
      choices = counts.map((count) => {
        const after = this.#isCounted ? nextTails[count + 1] : nextTails[0];
        const isFull = after === undefined || count >= this.#most;
        const written = isFull ? [] : [grammar.literal(JSON.stringify(name), member(after))];
        return grammar.anyOf(isRequired ? written : [...written, nextChoices[count]]);
      });
      tails = choices.map((choice, count) => {
        const onward = this.#comma(choice);
        return mayEnd && this.#isEnough(count) ? grammar.anyOf([end, onward]) : onward;
      });
    }
    const empty = mayEnd && this.#isEnough(0) ? [this.#close] : [];
    return grammar.literal('{', this.#writer.space(grammar.anyOf([...empty, choices[0]])));
  }

  #isEnough(count: number): boolean {
    return !this.#isCounted || count >= this.#least;
  }

  #comma(place: number): number {
    return this.#writer.grammar.literal(',', this.#writer.space(place));
  }

  /** A name's property after its name, counted ones as a rule that all counts share. */
  #member(name: string): (next: number) => number {
    const { grammar } = this.#writer;
    const schemas = this.#facts.property(name, this.#writer.tree.patternsOf(this.#facts, name));
    if (!this.#isCounted) return (next) => this.#value(schemas, next);
    const rule = this.#value(schemas, grammar.end);
    return (next) => grammar.call(rule, next);
  }

  #value(schemas: readonly Located[], next: number): number {
    const { grammar } = this.#writer;
    return grammar.literal(':', this.#writer.space(this.#writer.value(schemas, this.#nesting + 1, next)));
  }

  /** After all that have names here: others, one at least. */
  #others(count: number, end: number): number {
    const { grammar } = this.#writer;
    if (this.#other === undefined || count >= this.#most) return grammar.anyOf([]);
    return grammar.call(this.#other, this.#furtherOthers(count + 1, end));
  }

  #furtherOthers(count: number, end: number): number {
    const { grammar } = this.#writer;
    if (this.#other === undefined) return this.#isEnough(count) ? end : grammar.anyOf([]);
    return grammar.repeat(this.#comma(this.#other), 0, this.#most - count, end);
  }

  /** The names that are spelled out, and what others have to match; undefined where there are none. */
  #namesAndFilter(): { readonly names: readonly string[]; readonly filter: Regex | undefined } {
    const { tree } = this.#writer;
    const facts = this.#facts;
    const { propertyNames } = facts;
    const isOpen = !facts.isClosed || facts.namePatterns.length > 0;
    if (propertyNames.length === 0)
      return { names: facts.names, filter: isOpen ? tree.regexes.anything : undefined };
    const allowed = (name: unknown): name is string =>
      typeof name === 'string' && tree.accepts(propertyNames, name);
    const named = facts.names.filter(allowed);
    if (!isOpen) return { names: named, filter: undefined };
    const ways = tree.alternatives(propertyNames).filter(({ types }) => types?.includes('string') ?? true);
    const listed = ways.flatMap((way) => way.listed ?? []).filter(allowed);
    const filter = tree.regexes.either(
      ways.filter((way) => way.listed === undefined).map(({ text }) => text),
    );
    const isListed = filter === tree.regexes.nothing;
    if (!isListed && listed.length > 0)
      throw facts.unsupported('propertyNames', '"propertyNames" of an "enum" or anything else');
    const mayBe = (name: string) =>
      !facts.isClosed || facts.property(name, tree.patternsOf(facts, name)).length > 0;
    return {
      names: [...new Set([...named, ...listed.filter(mayBe)])],
      filter: isListed ? undefined : filter,
    };
  }

  /** A property with another name, and what the patterns say that it matches; undefined if there is none. */
  #otherMember(filter: Regex): number | undefined {
    const { grammar, tree, strings } = this.#writer;
    const { regexes } = tree;
    const patterns = this.#facts.namePatterns;
    if (patterns.length > MAX_NAME_PATTERNS)
      throw this.#facts.unsupported(
        'patternProperties',
        `"patternProperties" of more than ${MAX_NAME_PATTERNS} patterns`,
      );
    const isPlain = patterns.length === 0 && filter === regexes.anything;
    const ways: number[] = [];
    for (let set = 0; set < 2 ** patterns.length; set++) {
      const matched = new Set(patterns.filter((_, i) => (set >> i) % 2 === 1));
      if (matched.size === 0 && this.#facts.isClosed) continue;
      const schemas = this.#facts.property(undefined, matched);
      if (schemas.some(({ schema }) => schema === false)) continue;
      const value = this.#value(schemas, grammar.end);
      if (isPlain) return otherName(grammar, this.#names, value);
      const ofPatterns = patterns.map((pattern) => (matched.has(pattern) ? pattern : regexes.not(pattern)));
      const others = regexes.not(regexes.either(this.#names.map((name) => regexes.text(name))));
      const name = regexes.both([filter, others, ...ofPatterns]);
      if (!regexes.isNothing(name)) ways.push(quote(grammar, strings.place(name, quote(grammar, value))));
    }
    return ways.length === 0 ? undefined : grammar.anyOf(ways);
  }
}
