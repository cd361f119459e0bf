import { PynqLlmError } from '../errors/index.js';
import type { Facts } from './facts.js';
import { type Grammar, GrammarBuilder } from './grammar.js';
import { quote } from './json-string.js';
import { literals } from './literals.js';
import { numberPlace } from './numbers.js';
import { objectPlace, type ValueWriter } from './object-places.js';
import { isObject, type Located, parseSchema, type TypeName } from './schema-reader.js';
import { SchemaTree } from './schema-tree.js';
import { StringPlaces } from './string-places.js';

/** Schemas within schemas, references not counted. */
const MAX_NESTING = 32;
/** After a line break: the indentation of a document that is written over several lines. */
const MAX_INDENTATION = 20;
/** Values of a list without duplicates: one state for every set of them. */
const MAX_UNIQUE = 6;

/**
 * The grammar of the documents that satisfy a JSON schema, as far as docs/structured-output.md says. Every document that it
 * lets through satisfies the schema; not every one that does is let through: properties come in the schema's order, white
 * space is bounded.
 *
 * @param text the schema in JSON
 * @throws PynqLlmError LLM_SCHEMA_INVALID, LLM_SCHEMA_UNSUPPORTED, LLM_SCHEMA_TOO_LARGE, LLM_SCHEMA_UNSATISFIABLE
 */
export function compileSchema(text: string): Grammar {
  return new SchemaCompiler(parseSchema(text)).compile();
}

/** Writes values of schemas; `nesting` is how many schemas it is within, `next` what comes after. */
class SchemaCompiler implements ValueWriter {
  readonly grammar = new GrammarBuilder();
  readonly tree: SchemaTree;
  readonly strings: StringPlaces;
  /** Nothing, a space, or a line break with indentation: never white space without end. */
  readonly #white: number;
  readonly #boolean: number;
  /** Rules by the places of the schemas that their values satisfy all; those that are not compiled yet wait. */
  readonly #rules = new Map<string, number>();
  readonly #waiting: { readonly schemas: readonly Located[]; readonly rule: number }[] = [];

  constructor(root: unknown) {
    this.tree = new SchemaTree(root);
    const { grammar } = this;
    this.strings = new StringPlaces(grammar, this.tree.regexes);
    const { end } = grammar;
    this.#boolean = literals(grammar, ['true', 'false'], end);
    const indent = grammar.anyOf([grammar.literal(' ', end), grammar.literal('\t', end)]);
    const indentation = grammar.repeat(indent, 0, MAX_INDENTATION, end);
    this.#white = grammar.anyOf([end, grammar.literal(' ', end), grammar.literal('\n', indentation)]);
  }

  compile(): Grammar {
    const start = this.space(this.value([this.tree.root], 0, this.grammar.end));
    for (let next = this.#waiting.pop(); next !== undefined; next = this.#waiting.pop()) {
      const { schemas, rule } = next;
      this.grammar.define(rule, this.#ways(schemas, 0, this.grammar.end));
    }
    return this.grammar.finish(start);
  }

  space(next: number): number {
    return this.grammar.call(this.#white, next);
  }

  /** A value that satisfies all of some schemas. */
  value(schemas: readonly Located[], nesting: number, next: number): number {
    if (nesting > MAX_NESTING)
      throw new PynqLlmError(
        'LLM_SCHEMA_TOO_LARGE',
        `The schema nests more than ${MAX_NESTING} levels deep.`,
      );
    if (schemas.some(({ schema }) => schema === false)) return this.grammar.anyOf([]);
    const said = schemas.filter((one) => one.schema !== true && this.tree.reader(one).keywords.length > 0);
    const isComposed = said.length > 1 || said.some((one) => this.tree.reader(one).has('$ref'));
    // Rules are shared, and come back to themselves where a schema is recursive.
    return said.length === 0 || isComposed
      ? this.grammar.call(this.#rule(said), next)
      : this.#ways(said, nesting, next);
  }

  #rule(schemas: readonly Located[]): number {
    const key = [...new Set(schemas.map(({ path }) => path))].toSorted().join(' ');
    let rule = this.#rules.get(key);
    if (rule === undefined) {
      rule = this.grammar.declare();
      this.#rules.set(key, rule);
      this.#waiting.push({ schemas, rule });
    }
    return rule;
  }

  #ways(schemas: readonly Located[], nesting: number, next: number): number {
    const [only] = schemas;
    if (schemas.length === 1 && isObject(only.schema)) {
      const reader = this.tree.reader(only);
      const says = reader.keywords;
      if (says.length === 1 && says[0] === '$ref')
        return this.value([this.tree.target(reader)], nesting, next);
      if (says.length === 1 && says[0] === 'anyOf') return this.#anyOf(reader.subs('anyOf'), nesting, next);
    }
    return this.#alternatives(this.tree.alternatives(schemas), nesting, next);
  }

  /** Of ways that say the same one is enough; values that are listed are written together. */
  #anyOf(ways: readonly Located[], nesting: number, next: number): number {
    const distinct = [...new Map(ways.map((way) => [JSON.stringify(way.schema), way])).values()];
    const isListed = ({ schema }: Located) => isObject(schema) && (schema.const ?? schema.enum) !== undefined;
    const listed = distinct.filter(isListed).flatMap((way) => this.tree.alternatives([way]));
    return this.grammar.anyOf([
      ...(listed.length === 0 ? [] : [this.#alternatives(listed, nesting + 1, next)]),
      ...distinct.filter((way) => !isListed(way)).map((way) => this.value([way], nesting + 1, next)),
    ]);
  }

  #alternatives(ways: readonly Facts[], nesting: number, next: number): number {
    const texts: string[] = [];
    const places: number[] = [];
    for (const facts of ways) {
      const listed = this.tree.listedOf(facts);
      if (listed !== undefined) texts.push(...listed.map((value) => JSON.stringify(value)));
      else
        for (const type of facts.writtenTypes ?? ANY_TYPE)
          places.push(this.#typed(type, facts, nesting, next));
    }
    if (texts.length > 0) places.unshift(literals(this.grammar, texts, next));
    return this.grammar.anyOf(places);
  }

  #typed(type: TypeName, facts: Facts, nesting: number, next: number): number {
    switch (type) {
      case 'object':
        return objectPlace(this, facts, nesting, next);
      case 'array':
        return this.#array(facts, nesting, next);
      case 'string':
        return quote(this.grammar, this.strings.place(facts.text, quote(this.grammar, next)));
      case 'number':
      case 'integer':
        return numberPlace(this.grammar, facts.writtenRange, type === 'integer', next);
      case 'boolean':
        return this.grammar.call(this.#boolean, next);
      case 'null':
        return this.grammar.literal('null', next);
    }
  }

  #array(facts: Facts, nesting: number, next: number): number {
    const { grammar } = this;
    const { least, most } = facts.itemCounts;
    const close = grammar.literal(']', next);
    if (facts.isUnique && most > 1) return this.#uniqueItems(facts, close);
    const comma = (place: number) => grammar.literal(',', this.space(place));
    const item = (index: number, after: number) => this.value(facts.item(index), nesting + 1, after);

    const { prefixLength } = facts;
    const further = comma(item(prefixLength, grammar.end));
    const open = Math.max(0, least - Math.max(1, prefixLength));
    const rest = (written: number) => grammar.repeat(further, open, most - written, this.space(close));
    let tail: number;
    if (prefixLength === 0) {
      const first = item(0, rest(1));
      return grammar.literal(
        '[',
        this.space(grammar.anyOf([...(least === 0 ? [close] : []), ...(most > 0 ? [first] : [])])),
      );
    }
    tail = rest(prefixLength);
    for (let index = prefixLength - 1; index >= 0; index--) {
      const written = index < most ? item(index, tail) : grammar.anyOf([]);
      const ended = index === 0 ? close : this.space(close);
      const onward = index === 0 ? written : comma(written);
      tail = index >= least ? grammar.anyOf([ended, onward]) : onward;
    }
    return grammar.literal('[', this.space(tail));
  }

  /** Some of a few listed values, each at most once, in any order. */
  #uniqueItems(facts: Facts, close: number): number {
    const { grammar } = this;
    const { least, most } = facts.itemCounts;
    const ways = facts.prefixLength > 0 ? [] : this.tree.alternatives(facts.item(0));
    const lists = ways.map((way) => this.tree.listedOf(way));
    const isListed = lists.length > 0 && !lists.includes(undefined);
    const texts = new Set(lists.flatMap((values) => values ?? []).map((value) => JSON.stringify(value)));
    if (!isListed || texts.size > MAX_UNIQUE)
      throw facts.unsupported(
        'uniqueItems',
        `"uniqueItems" of anything but an "enum" of up to ${MAX_UNIQUE} values (leave it out, and drop duplicates afterwards)`,
      );
    const known = new Map<string, number>();
    const after = (left: readonly string[]): number => {
      const key = left.join(',');
      let place = known.get(key);
      if (place !== undefined) return place;
      const written = texts.size - left.length;
      const others = written < most ? left : [];
      const further = others.map((text) =>
        grammar.literal(text, after(left.filter((other) => other !== text))),
      );
      const onward = grammar.anyOf(further);
      const comma = written === 0 ? onward : grammar.literal(',', this.space(onward));
      const ended = written === 0 ? close : this.space(close);
      place = grammar.anyOf([...(written >= least ? [ended] : []), ...(further.length > 0 ? [comma] : [])]);
      known.set(key, place);
      return place;
    };
    return grammar.literal('[', this.space(after([...texts])));
  }
}

const ANY_TYPE: readonly TypeName[] = ['object', 'array', 'string', 'number', 'boolean', 'null'];
