import { describe, expect, it } from 'vitest';
import { Automaton, MAX_MASK_WORK } from '../../../constraint/automaton.js';
import { compileSchema } from '../../../constraint/compile-schema.js';
import { Constraint } from '../../../constraint/constraint.js';
import { TokenMasks } from '../../../constraint/token-masks.js';
import { Sampler } from '../../../llm/sampling/index.js';
import { Random } from '../../../maths/index.js';
import { tinyStories } from '../llm/models.js';

const { tokenizer, config } = tinyStories();
const masks = new TokenMasks(tokenizer);
const several = <T>(count: number, make: (i: number) => T) =>
  Array.from({ length: count }, (_, i) => make(i));

/** The most work of one mask or token over a document of random tokens, and the code of what ended it. */
function costOf(schema: unknown, steps = 60): { worst: number; code?: unknown } {
  const automaton = new Automaton(compileSchema(JSON.stringify(schema)), masks.longest);
  let worst = 0;
  try {
    const constraint = new Constraint(tokenizer, automaton, masks);
    const sampler = new Sampler(
      { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 1 },
      config.vocabSize,
      constraint,
    );
    const random = new Random(2);
    for (let i = 0; i < steps && !constraint.isFinished; i++) {
      const logits = Float32Array.from({ length: config.vocabSize }, () => 6 * random.nextDouble());
      sampler.sample(logits);
      worst = Math.max(worst, automaton.work);
    }
  } catch (error) {
    return { worst: Math.max(worst, automaton.work), code: Reflect.get(Object(error), 'code') };
  }
  return { worst };
}

describe('the work of a mask', () => {
  it.each<[string, unknown]>([
    ['any object', { type: 'object' }],
    ['a string of up to 100 characters', { type: 'string', maxLength: 100 }],
    ['a string of 200 to 1000 characters', { type: 'string', minLength: 200, maxLength: 1000 }],
    ['an e-mail address', { type: 'string', format: 'email' }],
    [
      'one of eight kinds of object',
      {
        anyOf: several(8, (i) => ({
          type: 'object',
          properties: { text: { type: 'string', maxLength: 20 }, [`kind${i}`]: { type: 'integer' } },
          required: ['text', `kind${i}`],
        })),
      },
    ],
    [
      'forty properties and any others',
      {
        type: 'object',
        properties: Object.fromEntries(several(40, (i) => [`field${i}`, { type: 'string', maxLength: 100 }])),
        additionalProperties: true,
      },
    ],
    ['a list of two thousand words', { enum: several(2_000, (i) => `word${i * 7919}`) }],
  ])('is a small part of what it may be for %s', (_, schema) => {
    expect(costOf(schema)).toEqual({ worst: expect.any(Number) });
    expect(costOf(schema).worst).toBeLessThan(MAX_MASK_WORK / 4);
  });

  it.each<[string, unknown]>([
    [
      'strings of so many lengths',
      { anyOf: several(100, (i) => ({ type: 'string', minLength: 200, maxLength: 1000 + i })) },
    ],
    ['a thousand lists', { anyOf: several(1_000, (i) => ({ type: 'array', items: {}, maxItems: 900 + i })) }],
    [
      'patterns that begin alike',
      { anyOf: several(100, (i) => ({ type: 'string', pattern: `^.{${i},200}a$` })) },
    ],
    ['a pattern of optional characters', { type: 'string', pattern: '^(.?){3000}$' }],
  ])('ends by a code once it is too much: %s', (_, schema) => {
    const { worst, code } = costOf(schema);
    expect(code).toBe('LLM_SCHEMA_TOO_LARGE');
    expect(worst).toBeLessThan(1.5 * MAX_MASK_WORK);
  });

  it('is counted anew for every mask and every token', () => {
    expect(
      costOf({ anyOf: several(5, (i) => ({ type: 'string', minLength: 300 + i })) }, 200),
    ).not.toHaveProperty('code');
  });
});

describe('the work of compiling a schema', () => {
  const ref = (i: number) => ({ $ref: `#/$defs/d${i % 100}` });
  it.each<[string, unknown]>([
    ['patterns of exponentially many states', { type: 'string', pattern: '^(?=.*a.{30})(?=.*b.{30}).*$' }],
    ['patterns that are counted and long', { type: 'string', pattern: '(a|b)*a(a|b){20}', maxLength: 5_000 }],
    [
      'many patterns',
      { type: 'string', allOf: several(30, (i) => ({ pattern: `[a-z][0-9]{${i + 1}}.*[^a-e]{${i}}` })) },
    ],
    [
      'choices within choices',
      { allOf: several(12, () => ({ anyOf: several(10, (i) => ({ type: 'string', minLength: i })) })) },
    ],
    [
      'references that fan out',
      {
        $defs: Object.fromEntries(
          several(100, (i) => [
            `d${i}`,
            {
              anyOf: [
                { ...ref(i + 1), minLength: 1 },
                { ...ref(i + 2), maxLength: 9 },
              ],
            },
          ]),
        ),
        ...ref(0),
      },
    ],
    [
      'alternatives each to be told from all others',
      { oneOf: several(300, (i) => ({ type: 'integer', minimum: 2 * i, maximum: 2 * i })) },
    ],
    ['a divisor with many remainders', { type: 'integer', multipleOf: 999_983 }],
    [
      'counted properties',
      {
        type: 'object',
        properties: Object.fromEntries(several(400, (i) => [`p${i}`, {}])),
        maxProperties: 200,
      },
    ],
    [
      'a large grammar',
      { type: 'object', properties: Object.fromEntries(several(3_000, (i) => [`p${i}`, {}])) },
    ],
  ])('ends by a code once it is too much: %s', (_, schema) => {
    expect(() => compileSchema(JSON.stringify(schema))).toThrow(
      expect.objectContaining({ code: 'LLM_SCHEMA_TOO_LARGE' }),
    );
  });

  it.each<[string, unknown]>([
    ['eight thousand ways that say the same', { anyOf: several(8_000, () => ({ type: 'null' })) }],
    ['three thousand constants', { anyOf: several(3_000, (i) => ({ const: `x${i}` })) }],
    [
      'a hundred kinds of object that a property tells apart',
      {
        oneOf: several(100, (i) => ({
          type: 'object',
          properties: { kind: { const: i }, text: { type: 'string' } },
          required: ['kind'],
        })),
      },
    ],
    [
      'an e-mail address of a length',
      { type: 'string', format: 'email', maxLength: 200, pattern: '^[a-z.@]+$' },
    ],
  ])('is little for %s', (_, schema) => {
    expect(costOf(schema).code).toBeUndefined();
  });
});
