import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { State } from '../../../constraint/automaton.js';
import { compileSchema } from '../../../constraint/compile-schema.js';
import { Random } from '../../../maths/index.js';
import { automatonOf, expectAll, judge, walk } from './constraint-support.js';
import { satisfies } from './json-schema-validator.js';

describe('the grammar of a schema', () => {
  it('has objects with their properties in order, those not required at will', () => {
    const schema = {
      type: 'object',
      properties: { a: { type: 'null' }, b: { type: 'boolean' }, c: { type: 'null' } },
      required: ['b'],
    };
    expectAll(
      schema,
      ['{"b":true}', '{"a":null,"b":false}', '{ "a": null, "b": true, "c": null }', '{\n  "b": true\n}'],
      [
        '{}',
        '{"a":null}',
        '{"b":true,"a":null}',
        '{"b":true,}',
        '{,"b":true}',
        '{"b":true,"d":1}',
        '{"b":1}',
      ],
    );
  });

  it('has other properties where they may be, under other names only', () => {
    const schema = {
      type: 'object',
      properties: { ab: { type: 'null' }, é: { type: 'null' } },
      additionalProperties: { type: 'integer' },
    };
    expectAll(
      schema,
      ['{}', '{"a":1}', '{"abc":1,"":2}', '{"ab":null,"x":3}', '{"è":1}', '{"é":null}', '{"\u{1f600}":4}'],
      ['{"ab":1}', '{"x":1,"ab":null}', '{"é":1}', '{"\\u0061b":1}', '{"x":null}'],
    );
    expectAll({ type: 'object' }, ['{}', '{"a":{"b":[1,"c",null]}}'], ['[]', '{"a"}', '1']);
    expectAll(
      { properties: {}, required: ['a'], additionalProperties: false, type: ['object', 'null'] },
      ['null'],
      ['{}', '{"a":1}'],
    );
  });

  it('has required properties that the schema says nothing more about', () => {
    const schema = { type: 'object', properties: { a: { type: 'null' } }, required: ['b'] };
    expectAll(schema, ['{"a":null,"b":[1]}', '{"b":"x"}'], ['{"a":null}', '{"b":1,"c":2}']);
  });

  it('has arrays of so many items', () => {
    const schema = { type: 'array', items: { type: 'boolean' }, minItems: 2, maxItems: 3 };
    expectAll(
      schema,
      ['[true,false]', '[ true, true, true ]'],
      ['[]', '[true]', '[true,true,true,true]', '[true,]', '[,true,true]', '[1,2]'],
    );
    expectAll({ type: 'array', maxItems: 0 }, ['[]', '[ ]'], ['[1]']);
    expectAll({ type: 'array', items: false }, ['[]'], ['[1]']);
  });

  it('has strings of so many characters, escapes and surrogate pairs counted as one', () => {
    const schema = { type: 'string', minLength: 2, maxLength: 3 };
    expectAll(
      schema,
      ['"ab"', '"é\u{1f600}x"', '"\\n\\u00e9"', '"\\ud83d\\ude00a"', '"\\"\\\\"'],
      ['"a"', '"abcd"', '"a\nb"', '"\\x41b"', '"\\ud83dab"', '"\\ude00ab"', '"\\ud83d\\ude00"', 'ab'],
    );
  });

  it('has only well-formed UTF-8 in strings', () => {
    const bytes = (...inner: number[]) => judge({ type: 'string' }, Uint8Array.of(0x22, ...inner, 0x22));
    expect(bytes(0xc3, 0xa9)).toBe('whole');
    expect(bytes(0xf4, 0x8f, 0xbf, 0xbf)).toBe('whole');
    expect(bytes(0xef, 0xbf, 0xbf)).toBe('whole');
    for (const wrong of [
      [0x80],
      [0xc3],
      [0xc0, 0x80],
      [0xe0, 0x80, 0x80],
      [0xed, 0xa0, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
      [0xff],
    ])
      expect(bytes(...wrong)).toBe('wrong');
  });

  it('has numbers as JSON writes them', () => {
    expectAll(
      { type: 'number' },
      ['0', '-0', '12', '-1.5', '1e5', '1.25E-10', '0.001'],
      ['01', '+1', '.5', '1.', '1e', '--1', 'NaN', '0x1', '1e999'],
    );
    expectAll({ type: 'integer' }, ['0', '-7', '123456789012345'], ['1.0', '1e2', '007']);
  });

  it('has whole numbers within bounds, every one and no other', () => {
    for (const [minimum, maximum] of [
      [0, 0],
      [-3, 12],
      [7, 105],
      [-1234, -98],
      [99, 1001],
      [-1, 0],
    ]) {
      const automaton = automatonOf({ type: 'integer', minimum, maximum });
      for (let value = -1300; value <= 1300; value++) {
        let state: State | undefined = automaton.start;
        for (const byte of Buffer.from(String(value))) state = state && automaton.step(state, byte);
        expect(state?.isComplete ?? false, `${value}`).toBe(value >= minimum && value <= maximum);
      }
    }
    expectAll({ type: 'integer', exclusiveMinimum: 1.5, exclusiveMaximum: 4 }, ['2', '3'], ['1', '4', '2.5']);
    expectAll({ type: 'integer', minimum: 10 }, ['10', '9007199254740991'], ['9', '-10', '9007199254740992']);
  });

  it('has numbers within bounds, to the last digit', () => {
    expectAll(
      { type: 'number', minimum: 0.5, exclusiveMaximum: 10 },
      ['0.5', '0.50', '9.999', '1', '0.75'],
      ['0.4', '0.49999', '10', '10.0', '0', '-1', '1e1', '05'],
    );
    expectAll(
      { type: 'number', exclusiveMinimum: -1.25, maximum: 0 },
      ['-1.2499', '-1', '0', '-0.5', '-1.2'],
      ['-1.25', '-1.250', '-1.3', '0.1', '1'],
    );
    expectAll({ type: 'number', minimum: 3, maximum: 3 }, ['3', '3.0', '3.000'], ['3.01', '2.99']);
  });

  it('has values of enum and const to the byte, those of the type that is named', () => {
    expectAll(
      { enum: ['red', 'reed', 1, null, { a: [1] }] },
      ['"red"', '"reed"', '1', 'null', '{"a":[1]}'],
      ['"re"', '2', 'red', '{"a": [1]}'],
    );
    expectAll({ enum: ['a', 1], type: 'string' }, ['"a"'], ['1']);
    expectAll({ const: 'a"b', type: 'string' }, ['"a\\"b"'], ['"a"']);
  });

  it('has alternatives that begin alike, and recursion', () => {
    const list = {
      $defs: {
        node: {
          type: 'object',
          properties: {
            value: { type: 'integer' },
            next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] },
          },
          required: ['value', 'next'],
          additionalProperties: false,
        },
      },
      $ref: '#/$defs/node',
    };
    expectAll(
      list,
      ['{"value":1,"next":null}', '{"value":1,"next":{"value":2,"next":null}}'],
      ['{"value":1}', '{"value":1,"next":{}}'],
    );
    const pets = {
      anyOf: [
        {
          type: 'object',
          properties: { kind: { const: 'cat' }, lives: { type: 'integer' } },
          required: ['kind', 'lives'],
        },
        {
          type: 'object',
          properties: { kind: { const: 'cow' }, milk: { type: 'number' } },
          required: ['kind', 'milk'],
        },
      ],
    };
    expectAll(
      pets,
      ['{"kind":"cat","lives":9}', '{"kind":"cow","milk":1.5}'],
      ['{"kind":"cat","milk":1}', '{"kind":"cow"}'],
    );
  });

  it('has patterns, with what JSON escapes escaped', () => {
    expectAll(
      { pattern: '^[A-Z]{2}-\\d{3,4}$', type: 'string' },
      ['"AB-123"', '"AB-1234"'],
      ['"AB-12"', '"aB-123"', '"AB-12345"'],
    );
    expectAll({ pattern: 'b+', type: 'string' }, ['"b"', '"abbc"', '"\\nb"'], ['"ac"', '""']);
    expectAll({ pattern: '^(a|"|\\\\|\\n)*$', type: 'string' }, ['""', '"a\\"\\\\\\n"'], ['"\n"', '"b"']);
    expectAll(
      { pattern: '^[^a-z]$|^xy?$', type: 'string' },
      ['"A"', '"é"', '"x"', '"xy"'],
      ['"a"', '"xyz"', '"AA"'],
    );
    expectAll(
      { format: 'date', type: 'string' },
      ['"2024-01-31"', '"2024-02-28"'],
      ['"2024-02-30"', '"2024-04-31"', '"2024-13-01"'],
    );
    expectAll({ format: 'uuid', type: 'string' }, ['"123e4567-e89b-42d3-a456-426614174000"'], ['"123e4567"']);
  });

  it('bounds white space, also where a document is written over several lines', () => {
    const schema = { type: 'array', items: { type: 'null' } };
    expect(judge(schema, `[\n${' '.repeat(20)}null]`)).toBe('whole');
    expect(judge(schema, `[\n${' '.repeat(21)}`)).toBe('wrong');
    expect(judge(schema, '[  ')).toBe('wrong');
    expect(judge(schema, '[null] ')).toBe('wrong');
  });

  it('brings a recursive document to its end before it nests too deeply', () => {
    const schema = { type: 'array', items: { $ref: '#' }, minItems: 0 };
    let depth = 0;
    for (let text = '['; judge(schema, text) !== 'wrong'; text += '[') depth++;
    expect(depth).toBeGreaterThan(50);
    expect(depth).toBeLessThanOrEqual(201);
    expect(judge(schema, '['.repeat(depth) + ']'.repeat(depth))).toBe('whole');
  });

  it('lets only documents through that parse and satisfy the schema, whatever the schema', {
    timeout: 60_000,
  }, () => {
    let documents = 0;
    fc.assert(
      fc.property(schemas(), fc.integer({ min: 0, max: 2 ** 31 }), (schema, seed) => {
        const text = walk(automatonOf(schema), new Random(seed), 1_500);
        if (text === undefined) return;
        documents++;
        const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(text));
        expect(satisfies(schema, value), text.toString()).toBe(true);
      }),
      { numRuns: 150, seed: 5 },
    );
    expect(documents).toBeGreaterThan(75);
  });
});

/** Schemas of all supported keywords, a few levels deep. */
function schemas(): fc.Arbitrary<unknown> {
  const range = fc.tuple(fc.integer({ min: -2000, max: 2000 }), fc.integer({ min: 0, max: 3000 }));
  const count = fc.tuple(fc.nat(4), fc.nat(4));
  return fc.letrec<{ schema: unknown }>((tie) => ({
    schema: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      fc.constantFrom<unknown>(
        { type: 'null' },
        { type: 'boolean' },
        { type: 'number' },
        { type: 'integer' },
        { type: 'string', pattern: '^[a-c]{1,3}(x|yé)?$' },
      ),
      count.map(([least, more]) => ({ type: 'string', minLength: least, maxLength: least + more })),
      range.map(([low, span]) => ({ type: 'integer', minimum: low, maximum: low + span })),
      range.map(([low, span]) => ({
        type: 'number',
        exclusiveMinimum: low / 8,
        maximum: (low + span + 1) / 8,
      })),
      fc
        .array(fc.jsonValue({ maxDepth: 1 }), { minLength: 1, maxLength: 4 })
        .map((values) => ({ enum: values })),
      fc.tuple(tie('schema'), count).map(([items, [least, more]]) => ({
        type: 'array',
        items,
        minItems: least,
        maxItems: least + more,
      })),
      fc
        .tuple(
          fc.dictionary(fc.string({ maxLength: 3 }), tie('schema'), { maxKeys: 3, noNullPrototype: true }),
          fc.boolean(),
          fc.option(tie('schema'), { nil: undefined }),
        )
        .map(([properties, all, others]) => ({
          type: 'object',
          properties,
          required: Object.keys(properties).filter((_, i) => all || i === 0),
          ...(others === undefined ? {} : { additionalProperties: others }),
        })),
      fc.array(tie('schema'), { minLength: 1, maxLength: 3 }).map((ways) => ({ anyOf: ways })),
    ),
  })).schema;
}

describe('a schema', () => {
  const refusal = (schema: unknown) => () =>
    compileSchema(typeof schema === 'string' ? schema : JSON.stringify(schema));
  const code = (name: string) => expect.objectContaining({ code: name });

  it.each<[string, unknown]>([
    ['uniqueItems', { type: 'array', uniqueItems: true }],
    ['contains', { type: 'array', contains: {} }],
    ['unevaluatedProperties', { type: 'object', unevaluatedProperties: false }],
    ['dependentRequired', { type: 'object', dependentRequired: {} }],
    ['not', { not: { type: 'null' } }],
    ['oneOf', { oneOf: [{ type: 'number' }, { type: 'integer' }] }],
    ['oneOf', { oneOf: [{ properties: { a: { const: 1 } } }, { properties: { a: { const: 2 } } }] }],
    ['minProperties', { type: 'object', additionalProperties: true, minProperties: 2 }],
    ['(?', { type: 'string', pattern: '(?<=a)b' }],
    ['\\b', { type: 'string', pattern: '\\ba' }],
    ['\\1', { type: 'string', pattern: '(a)\\1' }],
    ['format', { type: 'string', format: 'iban' }],
    ['format', { type: 'integer', format: 'int128' }],
    ['https://example.org/x.json', { $ref: 'https://example.org/x.json' }],
    ['$id', { properties: { a: { $id: 'b', $ref: '#/c' } } }],
    ['1e-20', { type: 'number', minimum: 1e-20 }],
    ['if', { type: 'object', properties: { a: { if: true } } }],
  ])('with %s is refused by that name', (name, schema) => {
    expect(refusal(schema)).toThrow(code('LLM_SCHEMA_UNSUPPORTED'));
    expect(refusal(schema)).toThrow(name);
  });

  it.each([
    ['{', 'not JSON'],
    [{ type: 'text' }, '#/type'],
    [{ type: 'string', minLength: -1 }, '#/minLength'],
    [{ type: 'object', properties: { a: 3 } }, '#/properties/a'],
    [{ type: 'object', additionalProperties: null }, '#/additionalProperties'],
    [{ type: 'object', required: null }, '#/required'],
    [{ type: 'array', items: 3 }, '#/items'],
    [{ type: 'number', multipleOf: 0 }, '#/multipleOf'],
    [{ allOf: {} }, '#/allOf'],
    [{ $ref: '#/$defs/none' }, '#/$defs/none'],
    [{ type: 'number', exclusiveMinimum: true }, '#/exclusiveMinimum'],
  ])('that is none is refused where it is wrong: %j', (schema, place) => {
    expect(refusal(schema)).toThrow(code('LLM_SCHEMA_INVALID'));
    expect(refusal(schema)).toThrow(place);
  });

  it.each([
    [false],
    [{ not: {} }],
    [{ type: 'string', enum: ['a', 1], minLength: 2 }],
    [{ allOf: [{ type: 'string' }, { type: 'null' }] }],
    [{ allOf: [{ pattern: '^a' }, { pattern: '^b' }], type: 'string' }],
    [{ anyOf: [{ $ref: '#' }, { allOf: [{ $ref: '#' }] }] }],
    [{ $ref: '#' }],
    [{ type: 'integer', minimum: 3, maximum: 2 }],
    [{ type: 'array', items: { $ref: '#' }, minItems: 1 }],
    [{ enum: [] }],
    [{ type: 'object', properties: { a: false }, required: ['a'] }],
  ])('that nothing satisfies is refused: %j', (schema) => {
    expect(refusal(schema)).toThrow(code('LLM_SCHEMA_UNSATISFIABLE'));
  });

  it('that is hostile in size, depth or ambiguity is refused in time', () => {
    const nested = (levels: number) => `${'{"items":'.repeat(levels)}true${'}'.repeat(levels)}`;
    const wide = {
      type: 'object',
      properties: Object.fromEntries(Array.from({ length: 9000 }, (_, i) => [`p${i}`, {}])),
    };
    const chain = Object.fromEntries(
      Array.from({ length: 1500 }, (_, i) => [i, { $ref: `#/$defs/${i + 1}` }]),
    );
    const started = performance.now();
    expect(refusal(' '.repeat(200_000))).toThrow(code('LLM_SCHEMA_TOO_LARGE'));
    expect(refusal(nested(14_000))).toThrow(code('LLM_SCHEMA_TOO_LARGE'));
    expect(refusal(nested(100))).toThrow(code('LLM_SCHEMA_TOO_LARGE'));
    expect(refusal(wide)).toThrow(code('LLM_SCHEMA_TOO_LARGE'));
    expect(refusal({ type: 'string', pattern: '('.repeat(5000) })).toThrow(code('LLM_SCHEMA_UNSUPPORTED'));
    expect(judge({ $ref: '#/$defs/0', $defs: { ...chain, 1500: { type: 'null' } } }, 'null')).toBe('whole');
    const pattern = '^((a?){0,5000}){0,5000}$';
    const ambiguous = automatonOf({ type: 'string', pattern });
    expect(() => ambiguous.step(ambiguous.start, 0x22)).toThrow(code('LLM_SCHEMA_TOO_LARGE'));
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});
