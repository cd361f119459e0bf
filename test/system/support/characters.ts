import { expect } from 'vitest';
import { z } from 'zod';
import type { Model } from '../../../sdk/index.js';

const character = z.object({
  name: z.enum(['Lily', 'Tim', 'Max']),
  age: z.int().min(1).max(12),
  happy: z.boolean(),
});
const schema = z.toJSONSchema(character);

interface Answer {
  readonly text: string;
  readonly reason: string;
}

/** What a model writes by a schema, all at once. @param first seed of the first */
export function characters(model: Model, count: number, first = 0): Promise<Answer[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const generation = model.generate('Once upon a time', {
        maxTokens: 100,
        temperature: 1,
        topK: 0,
        topP: 1,
        minP: 0,
        seed: first + i,
        responseFormat: { type: 'json-schema', schema },
      });
      return { text: await generation.text(), reason: (await generation.done).reason };
    }),
  );
}

/** Fails unless the answer has ended and satisfies the schema. */
export function requireCharacter({ text, reason }: Answer): void {
  expect(reason).toBe('end-of-text');
  expect(() => character.parse(JSON.parse(text)), text).not.toThrow();
}
