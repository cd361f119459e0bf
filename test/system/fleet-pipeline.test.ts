import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BoardClient, connect, type GenerateOptions, type Model, type Token } from '../../sdk/index.js';
import { openMock } from '../../sdk/mock.js';
import { TINY_MODEL } from './support/agent.js';
import { type TestFleet, testFleet } from './support/fleet.js';

const PROMPT = 'Once upon a time';

let alone: BoardClient;
let reference: Model;
let fleet: TestFleet;
let board: BoardClient;
let model: Model;
beforeAll(async () => {
  alone = await openMock();
  reference = await alone.models.upload(TINY_MODEL);
  fleet = await testFleet({ boards: 4, pipeline: 2, leaseMs: 2_000, maxWaitMs: 60_000 });
  board = await connect(fleet.url);
  model = await board.models.upload(TINY_MODEL);
}, 120_000);
afterAll(async () => {
  await board?.close();
  await fleet?.[Symbol.asyncDispose]();
  await alone?.close();
});

async function whole(of: Model, options: GenerateOptions) {
  const generation = of.generate(PROMPT, options);
  const tokens: Token[] = [];
  for await (const token of generation) tokens.push(token);
  const { reason, text, tokens: count, beams } = await generation.done;
  return { tokens, end: { reason, text, count, beams } };
}

const SCHEMA = {
  type: 'object',
  properties: { name: { type: 'string', maxLength: 12 }, age: { type: 'integer' } },
  required: ['name', 'age'],
} as const;
const MODES: Readonly<Record<string, GenerateOptions>> = {
  greedy: { maxTokens: 40, temperature: 0 },
  sampled: { maxTokens: 40, temperature: 1, seed: 11, topLogprobs: 2, repeatPenalty: 1.1 },
  'prompt lookup': { maxTokens: 40, temperature: 0, promptLookup: true, ignoreEos: true },
  'best of beams': { maxTokens: 10, temperature: 0, beams: { width: 3, results: 3 } },
  schema: {
    maxTokens: 60,
    temperature: 1,
    seed: 3,
    responseFormat: { type: 'json-schema', schema: SCHEMA },
  },
};

describe('four boards as two pipelines', () => {
  for (const [mode, options] of Object.entries(MODES))
    it(`give the bits of one board: ${mode}`, async () => {
      expect(await whole(model, options)).toEqual(await whole(reference, options));
    });
});
