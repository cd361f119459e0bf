import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { type BoardClient, connect, type Model } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';

const AT_A_TIME = 20;

const store = temporaryDirectory();
let board: BoardClient;
let model: Model;

beforeAll(async () => {
  board = await connect('mock:', { storeDir: store.path });
  const { digest } = await board.models.store(TINY_MODEL);
  model = await board.models.load(digest);
});

afterAll(async () => {
  await board.close();
  store[Symbol.dispose]();
});

it('100 documents drawn at temperature 1 satisfy their schema', { timeout: 900_000 }, async () => {
  const character = z.object({
    name: z.enum(['Lily', 'Tim', 'Max']),
    age: z.int().min(1).max(12),
    happy: z.boolean(),
  });
  const schema = z.toJSONSchema(character);
  const answers = async (first: number) =>
    Promise.all(
      Array.from({ length: AT_A_TIME }, async (_, i) => {
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
  for (let first = 0; first < 100; first += AT_A_TIME)
    for (const { text, reason } of await answers(first)) {
      expect(reason).toBe('end-of-text');
      expect(() => character.parse(JSON.parse(text)), text).not.toThrow();
    }
});

it('what a schema asks that cannot be kept to is refused by name', async () => {
  const schema = { type: 'array', uniqueItems: true };
  const text = model.generate('x', { responseFormat: { type: 'json-schema', schema } }).text();
  await expect(text).rejects.toMatchObject({
    code: 'LLM_SCHEMA_UNSUPPORTED',
    message: expect.stringMatching(/"uniqueItems" .* at #/),
  });
});
