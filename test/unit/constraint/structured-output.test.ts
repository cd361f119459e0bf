import { describe, expect, it } from 'vitest';
import type { ResponseFormat } from '../../../constraint/index.js';
import { Sampler } from '../../../llm/sampling/index.js';
import { Random } from '../../../maths/index.js';
import { Bench, GREEDY, textOf, tinyStoriesOnCore } from '../llm/models.js';
import { satisfies } from './json-schema-validator.js';

const model = tinyStoriesOnCore();
const PROMPT = model.tokenizer.encode('Once upon a time');

const CHARACTER = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 12 },
    age: { type: 'integer', minimum: 1, maximum: 120 },
    kind: { enum: ['girl', 'boy', 'dog', 'cat'] },
    friends: { type: 'array', items: { type: 'string', maxLength: 8 }, minItems: 1, maxItems: 3 },
    home: { anyOf: [{ $ref: '#/$defs/place' }, { type: 'null' }] },
    tall: { type: 'boolean' },
  },
  required: ['name', 'age', 'kind', 'friends', 'home'],
  additionalProperties: false,
  $defs: {
    place: {
      type: 'object',
      properties: { name: { type: 'string', pattern: '^[A-Z][a-z]{2,8}$' }, size: { type: 'number' } },
      required: ['name', 'size'],
    },
  },
};
const SHORT = {
  type: 'object',
  properties: {
    name: { enum: ['Lily', 'Tim', 'Max'] },
    age: { type: 'integer', minimum: 1, maximum: 12 },
    happy: { type: 'boolean' },
  },
  required: ['name', 'age', 'happy'],
  additionalProperties: false,
};
const format = (schema: unknown): ResponseFormat => ({ type: 'json-schema', schema: JSON.stringify(schema) });

describe('a generation with a JSON schema', () => {
  it('gives documents that parse and satisfy it, whatever the model would say', () => {
    const { vocabSize } = model.config;
    const random = new Random(1);
    const steps = Array.from({ length: 50 }, () =>
      Float32Array.from({ length: vocabSize }, () => 6 * random.nextDouble()),
    );
    const texts = Array.from({ length: 100 }, (_, seed) => {
      const constraint = model.constraints.create(format(CHARACTER));
      const sampler = new Sampler({ temperature: 1, topK: 0, topP: 1, minP: 0, seed }, vocabSize, constraint);
      const ids: number[] = [];
      while (!constraint.isFinished && ids.length < 1_000) {
        ids.push(sampler.sample(steps[(ids.length + seed) % steps.length]).id);
      }
      return model.tokenizer.decode(ids, { continuation: true });
    });
    for (const text of texts) expect(satisfies(CHARACTER, JSON.parse(text)), text).toBe(true);
    expect(new Set(texts).size).toBe(100);
  });

  it('gives such documents of the model’s own', { timeout: 120_000 }, () => {
    const bench = new Bench(model);
    const all = Array.from({ length: 4 }, (_, seed) =>
      bench.submit({
        prompt: PROMPT,
        maxTokens: 100,
        sampling: { temperature: 1, topK: 0, topP: 1, minP: 0, seed },
        responseFormat: format(SHORT),
      }),
    );
    bench.run();
    for (const { received } of all) {
      expect(received.result?.reason).toBe('end-of-text');
      expect(satisfies(SHORT, JSON.parse(textOf(received))), textOf(received)).toBe(true);
    }
  });

  it('gives the likeliest document without a temperature, with prompt lookup the same', () => {
    const bench = new Bench(model);
    const request = { prompt: PROMPT, maxTokens: 100, sampling: GREEDY, responseFormat: format(SHORT) };
    const plain = bench.submit(request).received;
    const drafted = bench.submit({ ...request, promptLookup: true }).received;
    bench.run();
    expect(satisfies(SHORT, JSON.parse(textOf(plain)))).toBe(true);
    expect(drafted.tokens).toEqual(plain.tokens);
    expect(drafted.result?.reason).toBe('end-of-text');
  });

  it('says so where maxTokens ends it early', () => {
    const bench = new Bench(model);
    const { received } = bench.submit({
      prompt: PROMPT,
      maxTokens: 20,
      sampling: { temperature: 1, seed: 1 },
      responseFormat: format({ type: 'string', minLength: 500 }),
    });
    bench.run();
    expect(received.result).toMatchObject({ reason: 'max-tokens', tokens: 20 });
    expect(textOf(received)).toMatch(/^\s?"/);
  });

  it('ends with the document, also where it ignores end tokens', () => {
    const bench = new Bench(model);
    const submit = (schema: unknown) =>
      bench.submit({ prompt: PROMPT, sampling: GREEDY, ignoreEos: true, responseFormat: format(schema) })
        .received;
    const listed = submit({ enum: ['a wolf', 'a bear'] });
    const number = submit({ type: 'integer' });
    bench.run();
    expect(['"a wolf"', '"a bear"']).toContain(textOf(listed).trim());
    expect(listed.result?.reason).toBe('end-of-text');
    expect(Number.isInteger(JSON.parse(textOf(number)))).toBe(true);
    expect(number.result?.reason).toBe('end-of-text');
  });

  it('may be asked for any JSON object', () => {
    const bench = new Bench(model);
    const { received } = bench.submit({
      prompt: PROMPT,
      maxTokens: 24,
      sampling: GREEDY,
      responseFormat: { type: 'json-object' },
    });
    bench.run();
    expect(textOf(received)).toMatch(/^\s?\{\s*("|\})/);
  });

  it('is refused before it starts where the schema cannot be kept to', () => {
    const submit = () =>
      new Bench(model).submit({ prompt: PROMPT, responseFormat: format({ type: 'array', contains: {} }) });
    expect(submit).toThrow(expect.objectContaining({ code: 'LLM_SCHEMA_UNSUPPORTED' }));
  });
});
