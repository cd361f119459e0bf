import { PynqLlmError } from '../errors/index.js';

/** A JSON schema that is not just true or false. */
export type SchemaObject = Readonly<Record<string, unknown>>;

/** A schema and where it stands: a JSON pointer into the whole. */
export interface Located {
  readonly schema: unknown;
  readonly path: string;
}

/** A schema's length as text, in UTF-16 units. */
const MAX_SCHEMA_LENGTH = 131_072;
/** Objects and lists within each other, `properties` and the like included. */
const MAX_SCHEMA_DEPTH = 128;

/** Keywords that say nothing about which documents are valid; so do all that begin with `x-`. */
const ANNOTATIONS = new Set([
  ...['$schema', '$id', 'id', '$anchor', '$comment', '$defs', 'definitions'],
  ...['title', 'description', 'default', 'example', 'examples', 'deprecated', 'readOnly', 'writeOnly'],
  ...['contentMediaType', 'contentEncoding', 'contentSchema', 'discriminator', 'externalDocs', 'xml'],
]);
/** Keywords of one type: they say nothing about values of others. */
export const TYPE_KEYWORDS = {
  object: [
    ...['properties', 'required', 'additionalProperties', 'patternProperties', 'propertyNames'],
    ...['minProperties', 'maxProperties'],
  ],
  array: ['items', 'prefixItems', 'additionalItems', 'minItems', 'maxItems', 'uniqueItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  integer: [],
  boolean: [],
  null: [],
} as const;
export type TypeName = keyof typeof TYPE_KEYWORDS;
const TYPE_NAMES = new Set<string>(Object.keys(TYPE_KEYWORDS));

const KNOWN = new Set<string>([
  ...['type', 'nullable', 'enum', 'const', '$ref', 'allOf', 'anyOf', 'oneOf', 'not'],
  ...Object.values(TYPE_KEYWORDS).flat(),
]);

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
    for (const keyword of Object.keys(schema))
      if (!KNOWN.has(keyword) && !ANNOTATIONS.has(keyword) && !keyword.startsWith('x-'))
        throw this.unsupported(`"${keyword}"`);
    if (this.has('$id') && path !== '#') throw this.unsupported('"$id" below the root');
  }

  /** The keywords that say something about which values are valid. */
  get keywords(): readonly string[] {
    return Object.keys(this.schema).filter((keyword) => KNOWN.has(keyword));
  }

  has(keyword: string): boolean {
    return Object.hasOwn(this.schema, keyword);
  }

  get(keyword: string, otherwise?: unknown): unknown {
    return this.has(keyword) ? this.schema[keyword] : otherwise;
  }

  /** The types that `type` names, with null where OpenAPI's `nullable` adds it; undefined without it. */
  types(): ReadonlySet<TypeName> | undefined {
    const given = this.get('type');
    if (given === undefined) return undefined;
    const names: unknown[] = Array.isArray(given) ? given : [given];
    if (!names.every((name): name is TypeName => typeof name === 'string' && TYPE_NAMES.has(name)))
      throw this.invalid('type', 'a name of a type, or a list of them');
    return new Set(this.get('nullable') === true ? [...names, 'null'] : names);
  }

  /** The types that its keywords are about. */
  impliedTypes(): TypeName[] {
    return (Object.keys(TYPE_KEYWORDS) as TypeName[]).filter((name) =>
      TYPE_KEYWORDS[name].some((keyword) => this.has(keyword)),
    );
  }

  /** A schema within it. @param name of the property, the pattern or the like */
  sub(keyword: string, name?: string): Located {
    const at = pointerTo(this.path, keyword);
    if (name === undefined) return { schema: this.get(keyword), path: at };
    return { schema: this.map(keyword)[name], path: pointerTo(at, name) };
  }

  /** A list of schemas within it. */
  subs(keyword: string): readonly Located[] {
    return this.list(keyword).map((schema, i) => ({ schema, path: `${this.path}/${keyword}/${i}` }));
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

  /** `properties` and the like: schemas by their names. */
  map(keyword: string): SchemaObject {
    const value = this.get(keyword, {});
    if (!isObject(value)) throw this.invalid(keyword, 'an object');
    return value;
  }

  text(keyword: string): string | undefined {
    const value = this.get(keyword);
    if (value !== undefined && typeof value !== 'string') throw this.invalid(keyword, 'a string');
    return value;
  }

  /** A whole number from 0. */
  count(keyword: string): number | undefined {
    const value = this.get(keyword);
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
      throw this.invalid(keyword, 'a whole number from 0');
    return value;
  }

  number(keyword: string): number | undefined {
    const value = this.get(keyword);
    if (value !== undefined && typeof value !== 'number') throw this.invalid(keyword, 'a number');
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

/** A JSON pointer (RFC 6901) that goes one step further. */
export function pointerTo(path: string, name: string): string {
  return `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

export function isObject(value: unknown): value is SchemaObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function invalidSchema(path: string, expected: string): PynqLlmError {
  return new PynqLlmError('LLM_SCHEMA_INVALID', `${path} of the schema has to be ${expected}.`, {
    context: { path },
  });
}
