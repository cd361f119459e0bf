import { PynqLlmError } from '../../errors/index.js';
import { FORMAT_PATTERNS } from './formats.js';
import { type Grammar, GrammarBuilder } from './grammar.js';
import { anyCharacterRule, otherName, quote } from './json-string.js';
import { literals } from './literals.js';
import { anyInteger, anyNumber, boundedNumber } from './numbers.js';
import { PatternError, patternPlace } from './pattern.js';
import { invalidSchema, isObject, parseSchema, SchemaReader, type TypeName } from './schema-reader.js';

/** Schemas within schemas, references not counted. */
const MAX_NESTING = 32;
/** After a line break: the indentation of a document that is written over several lines. */
const MAX_INDENTATION = 20;
const MAX_NAME_LENGTH = 256;
const UNBOUNDED = Number.POSITIVE_INFINITY;

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

class SchemaCompiler {
  readonly #grammar = new GrammarBuilder();
  readonly #root: unknown;
  readonly #character: number;
  /** Nothing, a space, or a line break with indentation: never white space without end. */
  readonly #white: number;
  /** Rules by the pointers that schemas refer to; those that are not compiled yet wait. */
  readonly #rules = new Map<string, number>();
  readonly #waiting: { readonly pointer: string; readonly rule: number }[] = [];
  #anyValue: number | undefined;

  constructor(root: unknown) {
    this.#root = root;
    this.#character = anyCharacterRule(this.#grammar);
    const { end } = this.#grammar;
    const indent = this.#grammar.anyOf([this.#grammar.literal(' ', end), this.#grammar.literal('\t', end)]);
    const indentation = this.#grammar.repeat(indent, 0, MAX_INDENTATION, end);
    const lineBreak = this.#grammar.literal('\n', indentation);
    this.#white = this.#grammar.anyOf([end, this.#grammar.literal(' ', end), lineBreak]);
  }

  compile(): Grammar {
    const start = this.#space(this.#value(this.#root, '#', 0, this.#grammar.end));
    for (let next = this.#waiting.pop(); next !== undefined; next = this.#waiting.pop()) {
      const { pointer, rule } = next;
      this.#grammar.define(rule, this.#value(this.#resolve(pointer), pointer, 0, this.#grammar.end));
    }
    return this.#grammar.finish(start);
  }

  #space(next: number): number {
    return this.#grammar.call(this.#white, next);
  }

  #value(schema: unknown, path: string, nesting: number, next: number): number {
    if (nesting > MAX_NESTING)
      throw new PynqLlmError(
        'LLM_SCHEMA_TOO_LARGE',
        `The schema nests more than ${MAX_NESTING} levels deep.`,
      );
    if (schema === true) return this.#grammar.call(this.#anyValueRule(), next);
    if (schema === false) return this.#grammar.anyOf([]);
    if (!isObject(schema)) throw invalidSchema(path, 'an object, true or false');
    const reader = new SchemaReader(schema, path);
    if (reader.has('$ref')) return this.#grammar.call(this.#ruleOf(reader), next);
    if (reader.has('anyOf')) {
      const ways = reader.list('anyOf');
      return this.#grammar.anyOf(
        ways.map((way, i) => this.#value(way, `${path}/anyOf/${i}`, nesting + 1, next)),
      );
    }
    if (reader.has('const') || reader.has('enum')) return literals(this.#grammar, listedValues(reader), next);
    const types = reader.types();
    if (types === undefined) return this.#grammar.call(this.#anyValueRule(), next);
    return this.#grammar.anyOf(types.map((type) => this.#typed(type, reader, nesting, next)));
  }

  #typed(type: TypeName, reader: SchemaReader, nesting: number, next: number): number {
    switch (type) {
      case 'object':
        return this.#object(reader, nesting, next);
      case 'array':
        return this.#array(reader, nesting, next);
      case 'string':
        return quote(this.#grammar, this.#stringInside(reader, quote(this.#grammar, next)));
      case 'number':
      case 'integer':
        return this.#number(reader, type === 'integer', next);
      case 'boolean':
        return literals(this.#grammar, ['true', 'false'], next);
      case 'null':
        return this.#grammar.literal('null', next);
    }
  }

  /** Properties in their order; those that are not required may be left out; others after them, where they may be. */
  #object(reader: SchemaReader, nesting: number, next: number): number {
    const grammar = this.#grammar;
    const { path } = reader;
    const required = new Set(reader.names('required'));
    const named = reader.map('properties');
    // Without a word about others a document with named properties has only these.
    const others = reader.get('additionalProperties', !reader.has('properties'));
    const isNamed = new Set(named.map(([name]) => name));
    const unnamed = [...required].filter((name) => !isNamed.has(name));
    const ofUnnamed = reader.get('additionalProperties', true);
    const properties = [...named, ...unnamed.map((name) => [name, ofUnnamed] as const)];
    const tooLong = properties.find(([name]) => name.length > MAX_NAME_LENGTH)?.[0];
    if (tooLong !== undefined)
      throw new PynqLlmError('LLM_SCHEMA_TOO_LARGE', `A property's name has ${tooLong.length} characters.`);

    let later = this.#space(grammar.literal('}', next));
    let first = grammar.literal('}', next);
    const comma = (place: number) => grammar.literal(',', this.#space(place));
    const member = (schema: unknown, name: string, after: number) =>
      grammar.literal(':', this.#space(this.#value(schema, `${path}/${name}`, nesting + 1, after)));
    if (others !== false) {
      const names = properties.map(([name]) => name);
      const pair = otherName(grammar, names, member(others, 'additionalProperties', grammar.end));
      later = grammar.repeat(comma(pair), 0, UNBOUNDED, later);
      first = grammar.anyOf([first, grammar.call(pair, later)]);
    }
    for (const [name, schema] of properties.toReversed()) {
      const emitted = grammar.literal(JSON.stringify(name), member(schema, `properties/${name}`, later));
      const isRequired = required.has(name);
      first = isRequired ? emitted : grammar.anyOf([emitted, first]);
      later = isRequired ? comma(emitted) : grammar.anyOf([comma(emitted), later]);
    }
    return grammar.literal('{', this.#space(first));
  }

  #array(reader: SchemaReader, nesting: number, next: number): number {
    const grammar = this.#grammar;
    const least = reader.count('minItems', 0);
    const most = reader.count('maxItems', UNBOUNDED);
    const items = reader.get('items', true);
    const item = this.#value(items, `${reader.path}/items`, nesting + 1, grammar.end);
    const further = grammar.literal(',', this.#space(grammar.call(item, grammar.end)));
    const close = grammar.literal(']', next);
    const ways = least === 0 ? [close] : [];
    if (most > 0) {
      const rest = grammar.repeat(further, Math.max(0, least - 1), most - 1, this.#space(close));
      ways.push(grammar.call(item, rest));
    }
    return grammar.literal('[', this.#space(grammar.anyOf(ways)));
  }

  #stringInside(reader: SchemaReader, next: number): number {
    const limits = ['minLength', 'maxLength', 'pattern', 'format'].filter((keyword) => reader.has(keyword));
    const format = reader.text('format');
    const isLength = limits.every((keyword) => keyword.endsWith('Length'));
    if (!isLength && limits.length > 1)
      throw reader.unsupported(`"${limits[0]}" together with "${limits[1]}"`);
    if (format !== undefined && !Object.hasOwn(FORMAT_PATTERNS, format))
      throw reader.unsupported(`the format ${JSON.stringify(format)}`);
    const pattern = reader.text('pattern') ?? (format === undefined ? undefined : FORMAT_PATTERNS[format]);
    if (pattern === undefined) {
      const least = reader.count('minLength', 0);
      return this.#grammar.repeat(this.#character, least, reader.count('maxLength', UNBOUNDED), next);
    }
    try {
      return patternPlace(this.#grammar, pattern, this.#character, next);
    } catch (cause) {
      if (!(cause instanceof PatternError)) throw cause;
      throw reader.unsupported(`"pattern" with ${cause.message}`);
    }
  }

  #number(reader: SchemaReader, whole: boolean, next: number): number {
    const low = reader.bound('minimum', 'exclusiveMinimum', (one, other) => one > other);
    const high = reader.bound('maximum', 'exclusiveMaximum', (one, other) => one < other);
    const furthest = Number.MAX_SAFE_INTEGER;
    // Whole numbers without a bound have fewer digits than this.
    const isWide = (low?.value ?? -furthest) <= -furthest && (high?.value ?? furthest) >= furthest;
    if (whole && isWide) return anyInteger(this.#grammar, next);
    if (low === undefined && high === undefined) return anyNumber(this.#grammar, next);
    return boundedNumber(
      this.#grammar,
      low ?? { value: -furthest, exclusive: false },
      high ?? { value: furthest, exclusive: false },
      whole,
      next,
    );
  }

  #anyValueRule(): number {
    if (this.#anyValue !== undefined) return this.#anyValue;
    const rule = this.#grammar.declare();
    this.#anyValue = rule;
    const types: TypeName[] = ['object', 'array', 'string', 'number', 'boolean', 'null'];
    this.#grammar.define(rule, this.#value({ type: types }, '#', 0, this.#grammar.end));
    return rule;
  }

  #ruleOf(reader: SchemaReader): number {
    const pointer = reader.text('$ref') ?? '';
    if (!/^#(\/|$)/.test(pointer)) throw reader.unsupported(`the reference ${JSON.stringify(pointer)}`);
    let rule = this.#rules.get(pointer);
    if (rule === undefined) {
      rule = this.#grammar.declare();
      this.#rules.set(pointer, rule);
      this.#waiting.push({ pointer, rule });
    }
    return rule;
  }

  /** What a local JSON pointer (RFC 6901) points at. */
  #resolve(pointer: string): unknown {
    let value = this.#root;
    for (const step of pointer.split('/').slice(1)) {
      const name = decodeStep(step, pointer);
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name))
        throw invalidSchema(`The reference ${JSON.stringify(pointer)}`, 'a pointer into the schema');
      value = Reflect.get(value, name);
    }
    return value;
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

/** The values of `enum` and `const` that `type` allows, as JSON. */
function listedValues(reader: SchemaReader): string[] {
  const types = reader.has('type') ? reader.types() : undefined;
  const values = reader.has('enum') ? reader.list('enum') : [reader.get('const')];
  const constant = reader.has('const') ? JSON.stringify(reader.get('const')) : undefined;
  return values
    .filter((value) => types === undefined || types.some((type) => isOfType(value, type)))
    .map((value) => JSON.stringify(value))
    .filter((text) => constant === undefined || text === constant);
}

function isOfType(value: unknown, type: TypeName): boolean {
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
