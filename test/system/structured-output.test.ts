import { afterAll, beforeAll, expect, it } from 'vitest';
import { type BoardClient, connect, type Model } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { characters, requireCharacter } from './support/characters.js';

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

// test/long draws more of them.
it('20 documents drawn at temperature 1 satisfy their schema', async () => {
  for (const answer of await characters(model, 20)) requireCharacter(answer);
});

it('what a schema asks that cannot be kept to is refused by name', async () => {
  const schema = { type: 'array', uniqueItems: true };
  const text = model.generate('x', { responseFormat: { type: 'json-schema', schema } }).text();
  await expect(text).rejects.toMatchObject({
    code: 'LLM_SCHEMA_UNSUPPORTED',
    message: expect.stringMatching(/"uniqueItems" .* at #/),
  });
});
