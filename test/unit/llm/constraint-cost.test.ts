import { describe, expect, test } from 'vitest';
import { Automaton, MAX_MASK_WORK } from '../../../llm/constraint/automaton.js';
import { compileSchema } from '../../../llm/constraint/compile-schema.js';
import { Constraint } from '../../../llm/constraint/constraint.js';
import { TokenMasks } from '../../../llm/constraint/token-masks.js';
import { Random } from '../../../llm/maths/index.js';
import { Sampler } from '../../../llm/sampling/index.js';
import { tinyStories } from './models.js';

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
  test.each<[string, unknown]>([
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

  test.each<[string, unknown]>([
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

  test('is counted anew for every mask and every token', () => {
    expect(
      costOf({ anyOf: several(5, (i) => ({ type: 'string', minLength: 300 + i })) }, 200),
    ).not.toHaveProperty('code');
  });
});
