import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BoardClient, connect, type GenerateOptions, type Model, type Token } from '../../sdk/index.js';
import { openMock } from '../../sdk/mock.js';
import { TINY_MODEL } from './support/agent.js';
import { type TestFleet, testFleet } from './support/fleet.js';

const PROMPT = 'Once upon a time';

/** The same from one board, to compare with. */
let alone: BoardClient;
let reference: Model;
let fleet: TestFleet;
let board: BoardClient;
let model: Model;
beforeAll(async () => {
  alone = await openMock();
  reference = await alone.models.upload(TINY_MODEL);
  fleet = await testFleet({ boards: 4 });
  board = await connect(fleet.url);
  model = await board.models.upload(TINY_MODEL);
});
afterAll(async () => {
  await board?.close();
  await fleet?.[Symbol.asyncDispose]();
  await alone?.close();
});

async function tokensOf(of: Model, options: GenerateOptions): Promise<Token[]> {
  const tokens: Token[] = [];
  for await (const token of of.generate(PROMPT, options)) tokens.push(token);
  return tokens;
}

describe('a fleet of four mocks', () => {
  it('gives the tokens and log-probabilities of one board, greedy and sampled', async () => {
    for (const options of [
      { maxTokens: 12, temperature: 0 },
      { maxTokens: 24, temperature: 1, seed: 7, topLogprobs: 3 },
    ])
      expect(await tokensOf(model, options)).toEqual(await tokensOf(reference, options));
  });

  it('uses all its boards', async () => {
    const many = await Promise.all(
      Array.from({ length: 16 }, (_, seed) => tokensOf(model, { maxTokens: 8, temperature: 1, seed })),
    );
    for (const [seed, tokens] of many.entries())
      expect(tokens).toEqual(await tokensOf(reference, { maxTokens: 8, temperature: 1, seed }));
    const { boards, tokens, diverged } = await board.fleetStatus();
    expect(boards.map(({ name }) => name)).toEqual(['mock-1', 'mock-2', 'mock-3', 'mock-4']);
    expect(tokens).toBeGreaterThanOrEqual(16 * 8);
    expect(diverged).toBe(0);
  });
});
