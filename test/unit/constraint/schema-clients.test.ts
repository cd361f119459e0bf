import { zodResponseFormat } from 'openai/helpers/zod';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { expectAll, expectDocuments } from './constraint-support.js';
import { satisfies } from './json-schema-validator.js';

interface Node {
  readonly value: number;
  readonly next: Node | null;
}
const node: z.ZodType<Node> = z.object({
  value: z.int(),
  get next() {
    return node.nullable();
  },
});

describe('what zod makes of', () => {
  const json = (value: unknown) => JSON.stringify(value);
  it.each<[string, z.ZodType, readonly unknown[], readonly unknown[]]>([
    ['an e-mail address', z.email(), ['a.b@example.org'], ['a@b', 'a..b@c.org', '@c.org']],
    ['one of a length', z.email().max(254), ['a@example.org'], [`${'a'.repeat(250)}@example.org`]],
    ['a UUID', z.uuid(), ['123e4567-e89b-42d3-a456-426614174000'], ['123e4567-e89b-92d3-a456-426614174000']],
    ['an IPv4 address', z.ipv4(), ['127.0.0.1'], ['127.0.0', '256.0.0.1']],
    ['an IPv6 address', z.ipv6(), ['::1', '2001:db8:0:0:0:0:0:1'], ['1', ':::']],
    ['a date', z.iso.date(), ['2024-02-29', '2000-02-29'], ['2023-02-29', '1900-02-29', '2024-13-01']],
    [
      'a time stamp',
      z.iso.datetime(),
      ['2024-02-29T10:00:00Z'],
      ['2024-02-30T10:00:00Z', '2024-02-29T24:00:00Z'],
    ],
    [
      'a time stamp with an offset',
      z.iso.datetime({ offset: true }),
      ['2024-02-29T10:00:00+01:00'],
      ['2024-02-29'],
    ],
    ['a time', z.iso.time(), ['10:30', '10:30:00.5'], ['24:00']],
    ['a duration', z.iso.duration(), ['P1D', 'P3W'], ['P', 'P1DT']],
    ['a URL', z.url(), ['https://example.org/a?b=c#d'], ['example.org', 'https://']],
    ['base64', z.base64(), ['', 'aGVsbG8='], ['aGVsbG8']],
    [
      'a pattern with a length',
      z
        .string()
        .regex(/^[a-z]+$/)
        .max(4),
      ['abcd'],
      ['abcde', '', 'A'],
    ],
    ['two patterns', z.string().regex(/a/).regex(/b$/), ['ab', 'xaab'], ['ba', 'b']],
    [
      'a password',
      z.string().regex(/^(?=.*[A-Z])(?=.*\d)[!-~]{4,8}$/),
      ['aB1c', '1234567A'],
      ['abcd', 'A1', '12345678A'],
    ],
    ['whole numbers', z.int32().multipleOf(5), [0, -5, 2147483645], [3, 2147483650]],
    ['steps', z.number().step(0.01).min(0).max(1), [0, 0.07, 1], [0.071, 1.01]],
    ['a float', z.float32(), [0.5], ['a']],
    ['a tuple', z.tuple([z.string(), z.int()]), [['a', 1]], [['a'], ['a', 1, 2], [1, 'a']]],
    ['a tuple with a rest', z.tuple([z.string()]).rest(z.boolean()), [['a'], ['a', true]], [[], ['a', 'b']]],
    ['a record', z.record(z.string(), z.int()), [{}, { a: 1, b: 2 }], [{ a: 'b' }]],
    [
      'a record of an enum',
      z.record(z.enum(['a', 'b']), z.int()),
      [{ a: 1, b: 2 }],
      [{ a: 1 }, { a: 1, b: 2, c: 3 }],
    ],
    ['a part of one', z.partialRecord(z.enum(['a', 'b']), z.int()), [{}, { b: 2 }], [{ c: 3 }]],
    ['a record of a pattern', z.record(z.string().regex(/^x/), z.int()), [{ xy: 1 }], [{ y: 1 }]],
    [
      'a discriminated union',
      z.discriminatedUnion('kind', [
        z.object({ kind: z.literal('circle'), radius: z.number().positive() }),
        z.object({ kind: z.literal(['square', 'box']), size: z.number() }),
      ]),
      [
        { kind: 'circle', radius: 1 },
        { kind: 'box', size: 2 },
      ],
      [
        { kind: 'circle', size: 1 },
        { kind: 'cube', size: 1 },
      ],
    ],
    [
      'an intersection',
      z.intersection(z.object({ a: z.int() }), z.object({ b: z.int() })),
      [{ a: 1, b: 2 }],
      [{ a: 1 }],
    ],
    [
      'nullable and optional',
      z.object({ a: z.int().nullable(), b: z.int().optional() }),
      [{ a: null }, { a: 1, b: 2 }],
      [{}],
    ],
    ['what may never be', z.object({ a: z.never().optional() }), [{}], [{ a: 1 }]],
    ['listed values', z.literal(['a', 1, null]), ['a', 1, null], ['b', 2]],
    ['something recursive', node, [{ value: 1, next: { value: 2, next: null } }], [{ value: 1 }]],
    ['something with an id', z.object({ a: z.int().meta({ id: 'number', title: 'A' }) }), [{ a: 1 }], [{}]],
    ['a template', z.templateLiteral(['v', z.int(), z.enum(['-rc', ''])]), ['v1-rc', 'v2'], ['v', '1']],
  ])('%s is kept to', (_, type, valid, invalid) => {
    const schema = z.toJSONSchema(type);
    for (const value of valid) expect(type.safeParse(value).success, json(value)).toBe(true);
    for (const value of invalid) expect(type.safeParse(value).success, json(value)).toBe(false);
    expectAll(schema, valid.map(json), invalid.map(json));
    expectDocuments(schema, (value) => type.safeParse(value).success);
  });
});

it('what the openai client’s zodResponseFormat makes of a typical type is kept to', () => {
  const step = z.object({ explanation: z.string(), output: z.string().nullable() });
  const type = z.object({
    kind: z.enum(['question', 'order']),
    mail: z.email(),
    when: z.iso.datetime(),
    count: z.int().min(1).max(10),
    steps: z.array(step).min(1),
    first: step,
    about: z.union([z.string(), z.object({ type: z.literal('ref'), id: z.uuid() })]),
  });
  const { schema } = zodResponseFormat(type, 'answer').json_schema;
  expectDocuments(schema, (value) => type.safeParse(value).success);
  const valid = {
    kind: 'order',
    mail: 'a@example.org',
    when: '2024-02-29T10:00:00Z',
    count: 3,
    steps: [{ explanation: 'a', output: null }],
    first: { explanation: '', output: 'b' },
    about: { type: 'ref', id: '123e4567-e89b-42d3-a456-426614174000' },
  };
  expectAll(
    schema,
    [JSON.stringify(valid)],
    [JSON.stringify({ ...valid, count: 11 }), JSON.stringify({ ...valid, steps: [] })],
  );
});

describe('what Pydantic makes of', () => {
  it.each<[string, object, readonly string[], readonly string[]]>([
    [
      'a model with optional fields and references',
      {
        $defs: {
          Colour: { enum: ['red', 'green'], title: 'Colour', type: 'string' },
          Address: {
            properties: {
              street: { title: 'Street', type: 'string' },
              zip: { pattern: '^\\d{5}$', title: 'Zip', type: 'string' },
            },
            required: ['street', 'zip'],
            title: 'Address',
            type: 'object',
          },
        },
        properties: {
          colour: { allOf: [{ $ref: '#/$defs/Colour' }], default: 'red', description: 'favourite' },
          other: { $ref: '#/$defs/Colour', description: 'second' },
          home: { anyOf: [{ $ref: '#/$defs/Address' }, { type: 'null' }], default: null },
          tags: { default: [], items: { type: 'string' }, title: 'Tags', type: 'array' },
        },
        required: ['other'],
        title: 'Person',
        type: 'object',
      },
      ['{"colour":"red","other":"green","home":null}', '{"other":"red","home":{"street":"a","zip":"12345"}}'],
      ['{"colour":"red"}', '{"other":"blue"}', '{"other":"red","home":{"street":"a","zip":"1"}}'],
    ],
    [
      'dates, decimals, paths and URLs',
      {
        properties: {
          at: { format: 'date-time', type: 'string' },
          day: { format: 'date', type: 'string' },
          price: {
            anyOf: [{ type: 'number' }, { pattern: '^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$', type: 'string' }],
          },
          id: { format: 'uuid4', type: 'string' },
          site: { format: 'uri', maxLength: 2083, minLength: 1, type: 'string' },
          secret: { format: 'password', type: 'string', writeOnly: true },
        },
        required: ['at', 'day', 'price', 'id', 'site', 'secret'],
        type: 'object',
      },
      [
        '{"at":"2024-02-29T10:00:00Z","day":"2024-02-29","price":"-1.50","id":"123e4567-e89b-42d3-a456-426614174000","site":"https://example.org","secret":"x"}',
      ],
      [
        '{"at":"2024-02-29T10:00:00Z","day":"2024-02-29","price":"-.","id":"123e4567-e89b-42d3-a456-426614174000","site":"https://example.org","secret":"x"}',
      ],
    ],
    [
      'a discriminated union with OpenAPI’s discriminator',
      {
        $defs: {
          Cat: { properties: { kind: { const: 'cat', type: 'string' } }, required: ['kind'], type: 'object' },
          Dog: {
            properties: { kind: { const: 'dog', type: 'string' }, age: { type: 'integer' } },
            required: ['kind'],
            type: 'object',
          },
        },
        discriminator: { mapping: { cat: '#/$defs/Cat', dog: '#/$defs/Dog' }, propertyName: 'kind' },
        oneOf: [{ $ref: '#/$defs/Cat' }, { $ref: '#/$defs/Dog' }],
      },
      ['{"kind":"cat"}', '{"kind":"dog","age":1}'],
      ['{"kind":"cow"}', '{"kind":"cat","age":1}'],
    ],
    [
      'tuples, sets of an enum and dictionaries',
      {
        properties: {
          point: {
            maxItems: 2,
            minItems: 2,
            prefixItems: [{ type: 'number' }, { type: 'number' }],
            type: 'array',
          },
          flags: { items: { enum: ['a', 'b', 'c'], type: 'string' }, type: 'array', uniqueItems: true },
          counts: {
            additionalProperties: { exclusiveMinimum: 0, type: 'integer' },
            type: 'object',
            minProperties: 1,
          },
          named: { patternProperties: { '^[a-z]+$': { type: 'integer' } }, type: 'object' },
        },
        required: ['point', 'flags', 'counts', 'named'],
        type: 'object',
      },
      ['{"point":[1,2.5],"flags":["b","a"],"counts":{"x":1},"named":{"y":0}}'],
      [
        '{"point":[1],"flags":[],"counts":{"x":1},"named":{}}',
        '{"point":[1,2],"flags":["b","b"],"counts":{"x":1},"named":{}}',
        '{"point":[1,2],"flags":[],"counts":{},"named":{}}',
        '{"point":[1,2],"flags":[],"counts":{"x":1},"named":{"Y":0}}',
      ],
    ],
  ])('%s is kept to', (_, schema, valid, invalid) => {
    for (const text of valid) expect(satisfies(schema, JSON.parse(text)), text).toBe(true);
    expectAll(schema, valid, invalid);
    expectDocuments(schema);
  });
});
