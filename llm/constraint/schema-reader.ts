import { PynqLlmError } from '../../errors/index.js';
import type { Bound } from './numbers.js';

/** A JSON schema that is not just true or false. */
export type SchemaObject = Readonly<Record<string, unknown>>;

/** A schema's length as text, in UTF-16 units. */
const MAX_SCHEMA_LENGTH = 131_072;
/** Objects and lists within each other, `properties` and the like included. */
const MAX_SCHEMA_DEPTH = 128;

/** Keywords that say nothing about which documents are valid. */
const ANNOTATIONS = [
  '$schema',
  '$id',
  '$comment',
  '$defs',
  'definitions',
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
];
/** Keywords of one type: they say nothing about values of others. */
export const TYPE_KEYWORDS = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  integer: [],
  boolean: [],
  null: [],
} as const;
export type TypeName = keyof typeof TYPE_KEYWORDS;
const TYPE_NAMES = new Set<string>(Object.keys(TYPE_KEYWORDS));

/** Keywords that decide alone, and those that may stand beside them. */
const ALONE: Readonly<Record<string, readonly string[]>> = {
  $ref: [],
  anyOf: [],
  const: ['type', 'enum'],
  enum: ['type', 'const'],
};
const KNOWN = new Set(['type', ...Object.keys(ALONE), ...Object.values(TYPE_KEYWORDS).flat()]);

/** @throws PynqLlmError LLM_SCHEMA_INVALID, LLM_SCHEMA_TOO_LARGE */
export function parseSchema(text: string): unknown {
  if (text.length > MAX_SCHEMA_LENGTH)
    throw new PynqLlmError(
      'LLM_SCHEMA_TOO_LARGE',
      `The schema is ${text.length} characters long; ${MAX_SCHEMA_LENGTH} are allowed.`,
    );
  const schema = parseJson(text);
  // Level by level, because a schema that nests too deeply would overflow the stack of anything recursive.
  let level = [schema];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_SCHEMA_DEPTH)
      throw new PynqLlmError(
        'LLM_SCHEMA_TOO_LARGE',
        `The schema nests more than ${MAX_SCHEMA_DEPTH} levels deep.`,
      );
    level = level.flatMap((value) =>
      typeof value === 'object' && value !== null ? Object.values(value) : [],
    );
  }
  return schema;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new PynqLlmError('LLM_SCHEMA_INVALID', 'The schema is not JSON.', { cause });
  }
}

/** One schema within the whole, its keywords checked: each is understood, and they go together. */
export class SchemaReader {
  /** @param path a JSON pointer to it, for errors */
  constructor(
    readonly schema: SchemaObject,
    readonly path: string,
  ) {
    const keywords = Object.keys(schema).filter((keyword) => !ANNOTATIONS.includes(keyword));
    for (const keyword of keywords) if (!KNOWN.has(keyword)) throw this.unsupported(`"${keyword}"`);
    for (const [keyword, beside] of Object.entries(ALONE)) {
      if (!Object.hasOwn(schema, keyword)) continue;
      const other = keywords.find((one) => one !== keyword && !beside.includes(one));
      if (other !== undefined) throw this.unsupported(`"${other}" beside "${keyword}"`);
    }
  }

  has(keyword: string): boolean {
    return Object.hasOwn(this.schema, keyword);
  }

  get(keyword: string, otherwise?: unknown): unknown {
    return this.has(keyword) ? this.schema[keyword] : otherwise;
  }

  /** The types that values may have; without `type`, those that its keywords are about; undefined for any. */
  types(): TypeName[] | undefined {
    const given = this.get('type');
    if (given === undefined) {
      const implied = (Object.keys(TYPE_KEYWORDS) as TypeName[]).filter((name) =>
        TYPE_KEYWORDS[name].some((keyword) => this.has(keyword)),
      );
      return implied.length === 0 ? undefined : implied;
    }
    const names: unknown[] = Array.isArray(given) ? given : [given];
    if (!names.every((name): name is TypeName => typeof name === 'string' && TYPE_NAMES.has(name)))
      throw this.invalid('type', 'a name of a type, or a list of them');
    return names;
  }

  /** A list of anything. */
  list(keyword: string): readonly unknown[] {
    const value = this.get(keyword);
    if (!Array.isArray(value)) throw this.invalid(keyword, 'a list');
    return value;
  }

  /** `required`: names. */
  names(keyword: string): readonly string[] {
    const value = this.get(keyword, []);
    const isNames = Array.isArray(value) && value.every((name) => typeof name === 'string');
    if (!isNames) throw this.invalid(keyword, 'a list of names');
    return value;
  }

  /** `properties`: schemas by their names. */
  map(keyword: string): readonly (readonly [name: string, value: unknown])[] {
    const value = this.get(keyword, {});
    if (!isObject(value)) throw this.invalid(keyword, 'an object');
    return Object.entries(value);
  }

  text(keyword: string): string | undefined {
    const value = this.get(keyword);
    if (value !== undefined && typeof value !== 'string') throw this.invalid(keyword, 'a string');
    return value;
  }

  /** A whole number from 0. */
  count(keyword: string, otherwise: number): number {
    const value = this.get(keyword);
    if (value === undefined) return otherwise;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
      throw this.invalid(keyword, 'a whole number from 0');
    return value;
  }

  /** The stricter one of a bound and its exclusive form. @param isStricter of two values, whether the first one is */
  bound(
    keyword: string,
    exclusiveKeyword: string,
    isStricter: (one: number, other: number) => boolean,
  ): Bound | undefined {
    const value = this.#number(keyword);
    const exclusive = this.#number(exclusiveKeyword);
    if (exclusive !== undefined && (value === undefined || !isStricter(value, exclusive)))
      return { value: exclusive, exclusive: true };
    return value === undefined ? undefined : { value, exclusive: false };
  }

  #number(keyword: string): number | undefined {
    const value = this.get(keyword);
    if (value === undefined) return undefined;
    if (typeof value !== 'number') throw this.invalid(keyword, 'a number');
    if (!/^-?\d{1,16}(\.\d{1,15})?$/.test(String(value)))
      throw this.unsupported(`"${keyword}" of ${value}, which has too many digits,`);
    return value;
  }

  unsupported(what: string): PynqLlmError {
    return new PynqLlmError(
      'LLM_SCHEMA_UNSUPPORTED',
      `${what} at ${this.path} of the schema is not supported.`,
      {
        context: { path: this.path },
      },
    );
  }

  invalid(keyword: string, expected: string): PynqLlmError {
    return invalidSchema(`${this.path}/${keyword}`, expected);
  }
}

export function isObject(value: unknown): value is SchemaObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function invalidSchema(path: string, expected: string): PynqLlmError {
  return new PynqLlmError('LLM_SCHEMA_INVALID', `${path} of the schema has to be ${expected}.`, {
    context: { path },
  });
}
