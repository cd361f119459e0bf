import { PynqLlmError } from '../errors/index.js';
import { Facts } from './facts.js';
import { isEmptyRange, isInRange, stricter } from './number-range.js';
import { RegexBuilder } from './regex.js';
import { isSameValue } from './same-value.js';
import {
  invalidSchema,
  isObject,
  type Located,
  pointerTo,
  SchemaReader,
  type TypeName,
} from './schema-reader.js';

/** Schemas and alternatives looked at for one schema: some 50 ms on x86-64. */
const MAX_WORK = 10_000;
/** Properties within properties that are looked at to tell alternatives apart. */
const MAX_APART = 4;

/** A schema that is being followed, with those that led to it. */
interface Followed extends Located {
  readonly via: readonly SchemaReader[];
}

/** A whole JSON schema: follows references and compositions, and judges values. */
export class SchemaTree {
  readonly regexes = new RegexBuilder();
  readonly #root: unknown;
  readonly #readers = new Map<string, SchemaReader>();
  /** Those whose `oneOf` has been looked at, or is being looked at. */
  readonly #apart = new Set<SchemaReader>();
  #work = 0;

  constructor(root: unknown) {
    this.#root = root;
  }

  get root(): Located {
    return { schema: this.#root, path: '#' };
  }

  /**
   * The ways to satisfy all of some schemas, none of them composed of others any more; empty where nothing does.
   * @throws PynqLlmError LLM_SCHEMA_INVALID, LLM_SCHEMA_UNSUPPORTED, LLM_SCHEMA_TOO_LARGE
   */
  alternatives(schemas: readonly Located[]): readonly Facts[] {
    const found = this.#follow(
      schemas.map((schema) => ({ ...schema, via: [] })),
      [],
    );
    return found.map((readers) => new Facts(readers, this.regexes));
  }

  /** @throws PynqLlmError LLM_SCHEMA_INVALID, LLM_SCHEMA_UNSUPPORTED */
  reader({ schema, path }: Located): SchemaReader {
    let reader = this.#readers.get(path);
    if (reader === undefined) {
      if (!isObject(schema)) throw invalidSchema(path, 'an object, true or false');
      reader = new SchemaReader(schema, path);
      this.#readers.set(path, reader);
    }
    return reader;
  }

  /** What `$ref` points at. */
  target(reader: SchemaReader): Located {
    const pointer = reader.text('$ref') ?? '';
    if (!/^#(\/|$)/.test(pointer)) throw reader.unsupported(`the reference ${JSON.stringify(pointer)}`);
    let value = this.#root;
    let path = '#';
    for (const step of pointer.split('/').slice(1)) {
      const name = decodeStep(step, pointer);
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name))
        throw invalidSchema(`The reference ${JSON.stringify(pointer)}`, 'a pointer into the schema');
      value = Reflect.get(value, name);
      path = pointerTo(path, name);
    }
    return { schema: value, path };
  }

  /** Whether a value satisfies all of some schemas. */
  accepts(schemas: readonly Located[], value: unknown): boolean {
    return this.alternatives(schemas).some((facts) => this.satisfies(facts, value));
  }

  /** Whether a value satisfies one way of some schemas. */
  satisfies(facts: Facts, value: unknown): boolean {
    const { listed } = facts;
    this.#spend(listed?.length ?? 0);
    return (listed?.some((one) => isSameValue(one, value)) ?? true) && this.#satisfiesBut(facts, value);
  }

  /** Those of the values that one way of some schemas lists that satisfy the rest of it; undefined if it lists none. */
  listedOf(facts: Facts): readonly unknown[] | undefined {
    return facts.listed?.filter((value) => this.#satisfiesBut(facts, value));
  }

  /** @param facts of which `enum` and `const` have been looked at */
  #satisfiesBut(facts: Facts, value: unknown): boolean {
    this.#spend(1);
    const { types } = facts;
    if (types !== undefined && !types.some((type) => isOfType(value, type))) return false;
    if (typeof value === 'number') return isInRange(value, facts.range);
    if (typeof value === 'string') return this.regexes.matches(facts.text, value);
    if (Array.isArray(value)) return this.#satisfiesItems(facts, value);
    return !isObject(value) || this.#satisfiesMembers(facts, value);
  }

  #satisfiesItems(facts: Facts, items: readonly unknown[]): boolean {
    const { least, most } = facts.itemCounts;
    if (items.length < least || items.length > most) return false;
    if (
      facts.isUnique &&
      items.some((item, i) => items.slice(0, i).some((other) => isSameValue(item, other)))
    )
      return false;
    return items.every((item, i) => this.accepts(facts.item(i), item));
  }

  #satisfiesMembers(facts: Facts, value: Readonly<Record<string, unknown>>): boolean {
    const names = Object.keys(value);
    const { least, most } = facts.propertyCounts;
    if (names.length < least || names.length > most) return false;
    if (![...facts.required].every((name) => Object.hasOwn(value, name))) return false;
    return names.every(
      (name) =>
        this.accepts(facts.propertyNames, name) &&
        this.accepts(facts.property(name, this.patternsOf(facts, name)), value[name]),
    );
  }

  /** Those of the patterns for names that a name matches. */
  patternsOf(facts: Facts, name: string) {
    return new Set(facts.namePatterns.filter((pattern) => this.regexes.matches(pattern, name)));
  }

  /** @param flat what has been followed already */
  #follow(pending: readonly Followed[], flat: readonly SchemaReader[]): readonly (readonly SchemaReader[])[] {
    const readers = [...flat];
    const choices: (readonly Followed[])[] = [];
    const queue = [...pending];
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      this.#spend(1);
      if (next.schema === true) continue;
      if (next.schema === false) return [];
      const reader = this.reader(next);
      // What comes back to itself without a value in between is satisfied by nothing that ends.
      if (next.via.includes(reader)) return [];
      if (readers.includes(reader)) continue;
      readers.push(reader);
      const via = [...next.via, reader];
      if (reader.has('$ref')) queue.push({ ...this.target(reader), via });
      if (reader.has('not') && this.#isNever(reader)) return [];
      if (reader.has('allOf')) queue.push(...reader.subs('allOf').map((part) => ({ ...part, via })));
      if (reader.has('oneOf')) this.#checkApart(reader);
      for (const keyword of ['anyOf', 'oneOf'])
        if (reader.has(keyword)) choices.push(reader.subs(keyword).map((way) => ({ ...way, via })));
    }
    return choices.reduce<readonly (readonly SchemaReader[])[]>(
      (ways, choice) =>
        ways.flatMap((way) => {
          this.#spend(choice.length);
          return choice.flatMap((one) => this.#follow([one], way));
        }),
      [readers],
    );
  }

  /** `not`, of everything or of nothing: other ones are not supported. */
  #isNever(reader: SchemaReader): boolean {
    const { schema } = reader.sub('not');
    const isEverything = schema === true || (isObject(schema) && Object.keys(schema).length === 0);
    if (!isEverything && schema !== false) throw reader.unsupported('"not" of anything but {}');
    return isEverything;
  }

  /** No value may satisfy two ways of a `oneOf`: then it says the same as `anyOf`. */
  #checkApart(reader: SchemaReader): void {
    if (this.#apart.has(reader)) return;
    this.#apart.add(reader);
    const ways = reader.subs('oneOf').map((way) => this.alternatives([way]));
    if (this.#haveDiscriminator(ways)) return;
    for (const [i, one] of ways.entries())
      for (const [j, other] of ways.slice(0, i).entries())
        if (!this.#areApart(one, other, MAX_APART))
          throw reader.unsupported(
            `"oneOf" whose alternatives ${j} and ${i} one value may satisfy both, as far as can be told (say "anyOf", or give each a required property with a "const" of its own),`,
          );
  }

  /** Whether all are objects that require a property whose listed values tell them apart. */
  #haveDiscriminator(ways: readonly (readonly Facts[])[]): boolean {
    const all = ways.flat();
    if (!all.every(({ types }) => types?.length === 1 && types[0] === 'object')) return false;
    return [...(all[0]?.required ?? [])].some((name) => {
      const seen = new Set<string>();
      return ways.every((way) => {
        if (!way.every((facts) => facts.required.has(name))) return false;
        const values = way.flatMap((facts) => this.#valuesOf(facts, name).map((one) => this.listedOf(one)));
        if (values.includes(undefined)) return false;
        const texts = new Set(values.flat().map((value) => JSON.stringify(value)));
        const isNew = [...texts].every((text) => !seen.has(text) && !/[[{]/.test(text[0]));
        for (const text of texts) seen.add(text);
        return isNew;
      });
    });
  }

  /** The ways that the value of a property may be. */
  #valuesOf(facts: Facts, name: string): readonly Facts[] {
    return this.alternatives(facts.property(name, this.patternsOf(facts, name)));
  }

  #areApart(some: readonly Facts[], others: readonly Facts[], depth: number): boolean {
    return some.every((one) => others.every((other) => this.#isApart(one, other, depth)));
  }

  #isApart(one: Facts, other: Facts, depth: number): boolean {
    this.#spend(1);
    for (const [a, b] of [[one, other], [other, one]]) // biome-ignore format: a pair
      if (this.listedOf(a)?.every((value) => !this.satisfies(b, value))) return true;
    return ALL_TYPES.filter((type) => isAllowed(type, one) && isAllowed(type, other)).every((type) => {
      if (type === 'object') return depth > 0 && this.#haveApartMembers(one, other, depth);
      if (type === 'number') return isEmptyRange(stricter(one.range, other.range));
      if (type === 'string') return this.regexes.isNothing(this.regexes.both([one.text, other.text]));
      return false;
    });
  }

  /** Whether a property that one of them requires cannot be there, or cannot have a value, in the other. */
  #haveApartMembers(one: Facts, other: Facts, depth: number): boolean {
    return [...new Set([...one.required, ...other.required])].some((name) =>
      this.#areApart(this.#valuesOf(one, name), this.#valuesOf(other, name), depth - 1),
    );
  }

  #spend(work: number): void {
    this.#work += work;
    if (this.#work > MAX_WORK)
      throw new PynqLlmError(
        'LLM_SCHEMA_TOO_LARGE',
        'The schema has too many alternatives and references within each other.',
      );
  }
}

const ALL_TYPES: readonly TypeName[] = ['object', 'array', 'string', 'number', 'boolean', 'null'];

/** Whether values of a type may satisfy it; numbers stand for whole numbers, too. */
function isAllowed(type: TypeName, { types, listed }: Facts): boolean {
  if (listed !== undefined && !listed.some((value) => isOfType(value, type))) return false;
  return types === undefined || types.includes(type) || (type === 'number' && types.includes('integer'));
}

export function isOfType(value: unknown, type: TypeName): boolean {
  switch (type) {
    case 'object':
      return isObject(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    case 'null':
      return value === null;
    default:
      return typeof value === type;
  }
}

function decodeStep(step: string, pointer: string): string {
  try {
    return decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
  } catch (cause) {
    throw new PynqLlmError('LLM_SCHEMA_INVALID', `The reference ${JSON.stringify(pointer)} cannot be read.`, {
      cause,
    });
  }
}
