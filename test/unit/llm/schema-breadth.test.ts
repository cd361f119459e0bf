import fc from 'fast-check';
import { zodResponseFormat } from 'openai/helpers/zod';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { Random } from '../../../llm/maths/index.js';
import { automatonOf, expectAll, judge, walk } from './constraint-support.js';
import { satisfies } from './json-schema-validator.js';

/** Documents of random bytes, among those that may come; the independent validator judges each. */
function expectDocuments(
  schema: unknown,
  isValid: (value: unknown) => boolean = () => true,
  count = 12,
): void {
  const automaton = automatonOf(schema);
  const random = new Random(11);
  const texts = Array.from({ length: count }, () => walk(automaton, random, 3_000));
  const documents = texts.filter((text) => text !== undefined);
  expect(documents.length).toBeGreaterThan(count / 3);
  for (const text of documents) {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(text));
    expect(satisfies(schema, value), text.toString()).toBe(true);
    expect(isValid(value), text.toString()).toBe(true);
  }
}

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
  test.each<[string, z.ZodType, readonly unknown[], readonly unknown[]]>([
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

test('what the openai client’s zodResponseFormat makes of a typical type is kept to', () => {
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
  test.each<[string, object, readonly string[], readonly string[]]>([
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

describe('a schema with', () => {
  test.each<[string, unknown, readonly string[], readonly string[]]>([
    [
      'allOf of objects merges their properties, each of which all of them allow',
      {
        allOf: [
          { properties: { a: { type: 'integer', minimum: 3 } }, required: ['a'] },
          { properties: { a: { maximum: 5 }, b: { type: 'null' } }, type: 'object' },
        ],
      },
      ['{"a":4,"b":null}', '{"a":3}'],
      ['{"a":2}', '{"a":6}', '{}'],
    ],
    [
      'additionalProperties: false in one of allOf leaves the properties of the others out',
      {
        allOf: [
          { type: 'object', properties: { a: {} } },
          { properties: { b: {} }, additionalProperties: false },
        ],
      },
      ['{"b":1}', '{}'],
      ['{"a":1}', '{"a":1,"b":1}'],
    ],
    [
      'keywords beside $ref keeps to both',
      { $ref: '#/$defs/n', minimum: 3, $defs: { n: { type: 'integer', maximum: 4 } } },
      ['3', '4'],
      ['2', '5', 'null'],
    ],
    [
      'anyOf beside other keywords keeps to both',
      {
        type: 'object',
        properties: { a: { type: 'null' }, b: { type: 'null' } },
        anyOf: [{ required: ['a'] }, { required: ['b'] }],
      },
      ['{"a":null}', '{"b":null}', '{"a":null,"b":null}'],
      ['{}'],
    ],
    [
      'several anyOf keeps to one of each',
      { allOf: [{ anyOf: [{ const: 1 }, { const: 2 }] }, { anyOf: [{ const: 2 }, { const: 3 }] }] },
      ['2'],
      ['1', '3'],
    ],
    [
      'oneOf of what is apart is one of them',
      {
        oneOf: [
          { type: 'string', maxLength: 2 },
          { type: 'string', minLength: 4 },
          { type: 'integer', maximum: 0 },
          { type: 'number', exclusiveMinimum: 0 },
        ],
      },
      ['"ab"', '"abcd"', '0', '0.5'],
      ['"abc"', '-0.5'],
    ],
    [
      'oneOf of objects that one property tells apart, deep inside',
      {
        oneOf: [
          {
            type: 'object',
            properties: { head: { type: 'object', properties: { v: { const: 1 } }, required: ['v'] } },
            required: ['head'],
          },
          {
            type: 'object',
            properties: { head: { type: 'object', properties: { v: { type: 'string' } }, required: ['v'] } },
            required: ['head'],
          },
        ],
      },
      ['{"head":{"v":1}}', '{"head":{"v":"a"}}'],
      ['{"head":{"v":2}}'],
    ],
    [
      'enum beside other keywords has the values that satisfy them',
      {
        enum: ['a', 'abc', 'xyz', 3, { a: 1 }, { a: 'b' }],
        anyOf: [
          { type: 'string', minLength: 2, pattern: '^a' },
          { properties: { a: { type: 'string' } }, type: 'object' },
        ],
      },
      ['"abc"', '{"a":"b"}'],
      ['"a"', '"xyz"', '3', '{"a":1}'],
    ],
    [
      'OpenAPI’s nullable is null, too',
      { type: 'string', nullable: true, maxLength: 1 },
      ['null', '"a"'],
      ['"ab"', '1'],
    ],
    [
      'a list of items (draft-07) has items one by one',
      {
        type: 'array',
        items: [{ type: 'null' }, { type: 'boolean' }],
        additionalItems: { type: 'integer' },
        minItems: 1,
      },
      ['[null]', '[null,true]', '[ null, true, 1, 2 ]'],
      ['[]', '[true]', '[null,1]', '[null,true,null]'],
    ],
    [
      'prefixItems has others behind them, unless items says no',
      { prefixItems: [{ type: 'null' }], type: 'array', items: false },
      ['[]', '[null]'],
      ['[1]', '[null,null]'],
    ],
    [
      'minProperties and maxProperties counts',
      {
        type: 'object',
        properties: { a: { type: 'null' }, b: { type: 'null' }, c: { type: 'null' } },
        minProperties: 1,
        maxProperties: 2,
      },
      ['{"a":null}', '{"a":null,"c":null}', '{"b":null,"c":null}'],
      ['{}', '{"a":null,"b":null,"c":null}'],
    ],
    [
      'maxProperties counts others as well',
      {
        type: 'object',
        properties: { a: { type: 'null' } },
        additionalProperties: { type: 'null' },
        maxProperties: 2,
      },
      ['{}', '{"a":null,"x":null}', '{"x":null,"y":null}'],
      ['{"a":null,"x":null,"y":null}'],
    ],
    [
      'patternProperties has names by their patterns, all that match',
      {
        type: 'object',
        properties: { xa: { minimum: 3 } },
        patternProperties: { '^x': { type: 'integer' }, y$: { maximum: 9 } },
        additionalProperties: { type: 'null' },
      },
      ['{"xa":3,"x":1,"xy":9,"q":null}', '{"qy":5}'],
      ['{"xa":2}', '{"x":null}', '{"xy":10}', '{"q":1}', '{"qy":10}'],
    ],
    [
      'uniqueItems: false says nothing',
      { type: 'array', items: { type: 'null' }, uniqueItems: false },
      ['[null,null]'],
      [],
    ],
    [
      'a set without duplicates of so many',
      { type: 'array', items: { enum: [1, 2, 3] }, uniqueItems: true, minItems: 2 },
      ['[3,1]', '[1,2,3]'],
      ['[1]', '[1,1]', '[1,2,3,1]'],
    ],
    [
      'multipleOf has multiples alone',
      { type: 'integer', multipleOf: 7, minimum: -15, maximum: 100 },
      ['-14', '0', '98'],
      ['-15', '-21', '1', '105', '7.0', '07'],
    ],
    [
      'several multipleOf has common multiples',
      { type: 'number', allOf: [{ multipleOf: 0.25 }, { multipleOf: 0.1 }], minimum: 0 },
      ['0', '0.50', '1.00', '1', '12.50'],
      ['0.25', '0.10', '0.75'],
    ],
    [
      'very small and very large bounds',
      { type: 'number', minimum: -1e300, maximum: 1e-7 },
      ['0.0000001', '-5'],
      ['0.0000002', '1'],
    ],
    [
      'formats of numbers',
      { type: 'integer', format: 'int32' },
      ['-2147483648', '2147483647'],
      ['2147483648', '-2147483649'],
    ],
    [
      'named groups and lazy quantifiers',
      { type: 'string', pattern: '^(?<first>a+?)-(?:b|c)$' },
      ['"aa-b"'],
      ['"-b"'],
    ],
    [
      'annotations of all kinds',
      {
        type: 'null',
        title: 'a',
        'x-order': 1,
        readOnly: true,
        $comment: 'c',
        contentMediaType: 'text/plain',
        examples: [],
      },
      ['null'],
      ['1'],
    ],
  ])('%s', (_, schema, valid, invalid) => {
    for (const text of valid) expect(satisfies(schema, JSON.parse(text)), text).toBe(true);
    expectAll(schema, valid, invalid);
    if (valid.length > 0) expectDocuments(schema);
  });

  test('an alternative that only comes back to itself has the others', () => {
    const back = { allOf: [{ $ref: '#' }], type: 'null' };
    expectAll({ anyOf: [{ $ref: '#' }, back, { const: 4 }] }, ['4'], ['null']);
    expectAll({ oneOf: [{ $ref: '#', type: 'null' }, { const: 4 }] }, ['4'], ['null']);
  });

  test('a divisor has every multiple within the bounds and no other number', () => {
    for (const [multipleOf, minimum, maximum] of [
      [3, -30, 1000],
      [10, 5, 905],
      [25, -101, 999],
      [7, 0, 0],
      [12, -999, -100],
    ]) {
      const schema = { type: 'integer', multipleOf, minimum, maximum };
      const automaton = automatonOf(schema);
      for (let value = -1100; value <= 1100; value++) {
        let state: ReturnType<typeof automaton.step> = automaton.start;
        for (const byte of Buffer.from(String(value))) state &&= automaton.step(state, byte);
        expect(state?.isComplete ?? false, `${value} of ${JSON.stringify(schema)}`).toBe(
          satisfies(schema, value),
        );
      }
    }
  });
});

/** Patterns with what may stand in them, of a few characters each. */
const patterns = fc.letrec<{ part: string }>((tie) => ({
  part: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom('a', 'b', '[ab]', '.', '[^a]', '\\d', '"', 'é'),
    fc.tuple(tie('part'), tie('part')).map(([one, other]) => one + other),
    fc.tuple(tie('part'), tie('part')).map(([one, other]) => `(?:${one}|${other})`),
    fc
      .tuple(tie('part'), fc.constantFrom('?', '*', '+', '{1,3}'))
      .map(([one, times]) => `(?:${one})${times}`),
  ),
})).part;

describe('a pattern', () => {
  test('matches what the engine’s own regular expressions match, with lookaheads, anchors and lengths', () => {
    const letters = fc.constantFrom('a', 'b', '1', '"', 'é', '\n');
    const texts = fc.array(
      fc.array(letters, { maxLength: 6 }).map((all) => all.join('')),
      { minLength: 12, maxLength: 12 },
    );
    const whole = fc
      .tuple(fc.constantFrom('', '^'), fc.option(patterns), fc.boolean(), patterns, fc.constantFrom('', '$'))
      .map(
        ([start, look, isNegative, rest, end]) =>
          `${start}${look === null ? '' : `(?${isNegative ? '!' : '='}${look})`}${rest}${end}`,
      );
    let matches = 0;
    fc.assert(
      fc.property(whole, fc.nat(3), fc.nat(4), texts, (pattern, least, more, all) => {
        const schema = { type: 'string', pattern, minLength: least, maxLength: least + more };
        if (!all.some((text) => satisfies(schema, text))) return;
        for (const text of all) {
          const expected = satisfies(schema, text);
          if (expected) matches++;
          expect(judge(schema, JSON.stringify(text)) === 'whole', `${pattern}: ${JSON.stringify(text)}`).toBe(
            expected,
          );
        }
      }),
      { numRuns: 250, seed: 3 },
    );
    expect(matches).toBeGreaterThan(100);
  });
});

/** Schemas that are composed of others in all ways, and values to choose from. */
function composed(): fc.Arbitrary<unknown> {
  const bound = fc.integer({ min: -20, max: 20 });
  const names = fc.constantFrom('a', 'b', 'ab', 'c');
  return fc.letrec<{ schema: unknown }>((tie) => {
    const properties = fc.dictionary(names, tie('schema'), { maxKeys: 3, noNullPrototype: true });
    return {
      schema: fc.oneof(
        { maxDepth: 3 },
        fc.constantFrom<unknown>(
          {},
          { type: 'null' },
          { type: ['integer', 'null'] },
          { type: 'string', format: 'ipv4' },
          { type: 'string', pattern: '^[ab]+', maxLength: 4 },
          { pattern: 'b$' },
          { minLength: 1, maxLength: 3 },
          { multipleOf: 3 },
          { $ref: '#/$defs/leaf' },
          { $ref: '#/$defs/list', maxItems: 2 },
          { type: 'boolean', nullable: true },
        ),
        fc
          .tuple(bound, bound)
          .map(([a, b]) => ({ minimum: Math.min(a, b), exclusiveMaximum: Math.max(a, b) + 2 })),
        fc
          .array(fc.jsonValue({ maxDepth: 1 }), { minLength: 1, maxLength: 4 })
          .map((values) => ({ enum: values })),
        fc.tuple(tie('schema'), tie('schema')).map(([one, other]) => ({ allOf: [one, other] })),
        fc
          .tuple(tie('schema'), tie('schema'), bound)
          .map(([one, other, minimum]) => ({ anyOf: [one, other], minimum })),
        fc.tuple(tie('schema'), tie('schema')).map(([one, other]) => ({ oneOf: [one, other] })),
        fc
          .tuple(
            properties,
            fc.array(names, { maxLength: 2 }),
            fc.option(tie('schema')),
            fc.nat(2),
            fc.nat(3),
          )
          .map(([own, required, others, least, more]) => ({
            type: 'object',
            properties: own,
            required: [...new Set(required)],
            ...(others === null ? {} : { additionalProperties: others }),
            ...(least === 0 ? {} : { minProperties: least, maxProperties: least + more }),
          })),
        fc.tuple(tie('schema'), tie('schema')).map(([one, others]) => ({
          type: 'object',
          patternProperties: { '^a': one },
          additionalProperties: others,
          propertyNames: { maxLength: 3 },
        })),
        fc.tuple(tie('schema'), tie('schema'), fc.nat(3)).map(([first, rest, least]) => ({
          type: 'array',
          prefixItems: [first],
          items: rest,
          minItems: least,
          maxItems: least + 1,
        })),
      ),
    };
  }).schema;
}

describe('composed schemas', () => {
  const $defs = {
    leaf: { type: 'integer', minimum: 0, maximum: 9 },
    list: {
      type: 'array',
      items: { anyOf: [{ $ref: '#/$defs/list' }, { $ref: '#/$defs/leaf' }] },
      maxItems: 3,
    },
  };
  test('let only documents through that satisfy them, or are refused by a code', { timeout: 60_000 }, () => {
    let documents = 0;
    const refused = new Map<unknown, number>();
    fc.assert(
      fc.property(composed(), fc.integer({ min: 0, max: 2 ** 31 }), (inner, seed) => {
        const schema = { allOf: [inner], $defs };
        let automaton: ReturnType<typeof automatonOf>;
        try {
          automaton = automatonOf(schema);
        } catch (error) {
          const code: unknown = Reflect.get(Object(error), 'code');
          expect(code, String(error)).toMatch(/^LLM_SCHEMA_/);
          refused.set(code, (refused.get(code) ?? 0) + 1);
          return;
        }
        const text = walk(automaton, new Random(seed), 1_500);
        if (text === undefined) return;
        documents++;
        const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(text));
        expect(satisfies(schema, value), text.toString()).toBe(true);
      }),
      { numRuns: 500, seed: 9 },
    );
    expect(documents).toBeGreaterThan(250);
    expect(refused.get('LLM_SCHEMA_UNSATISFIABLE') ?? 0).toBeLessThan(150);
  });
});
