import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../maths/index.js';
import { automatonOf, expectAll, expectDocuments, judge, walk } from './constraint-support.js';
import { satisfies } from './json-schema-validator.js';

describe('a schema with', () => {
  it.each<[string, unknown, readonly string[], readonly string[]]>([
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

  it('an alternative that only comes back to itself has the others', () => {
    const back = { allOf: [{ $ref: '#' }], type: 'null' };
    expectAll({ anyOf: [{ $ref: '#' }, back, { const: 4 }] }, ['4'], ['null']);
    expectAll({ oneOf: [{ $ref: '#', type: 'null' }, { const: 4 }] }, ['4'], ['null']);
  });

  it('a divisor has every multiple within the bounds and no other number', () => {
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
  it('matches what the engine’s own regular expressions match, with lookaheads, anchors and lengths', () => {
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
  it('let only documents through that satisfy them, or are refused by a code', { timeout: 60_000 }, () => {
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
