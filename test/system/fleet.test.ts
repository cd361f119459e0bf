import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type GenerateOptions, type Model, type Token } from '../../sdk/index.js';
import { TINY_MODEL } from './support/agent.js';
import { breakingProxy } from './support/breaking-proxy.js';
import { testFleet } from './support/fleet.js';
import { type FleetBesideOne, fleetBesideOne } from './support/fleet-beside-one.js';

const PROMPT = 'Once upon a time';

let both: FleetBesideOne;
let { alone, reference, fleet, board, model } = {} as FleetBesideOne;
beforeAll(async () => {
  both = await fleetBesideOne({ boards: 4 });
  ({ alone, reference, fleet, board, model } = both);
});
afterAll(() => both?.[Symbol.asyncDispose]());

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

  it('answers whoever has lost the connection without losing or repeating a token', async () => {
    await using proxy = await breakingProxy(fleet.url);
    await using away = await connect(proxy.url);
    const options = { maxTokens: 30, temperature: 0, window: 4 };
    const tokens: Token[] = [];
    for await (const token of (await away.models.load(model.digest)).generate(PROMPT, options)) {
      tokens.push(token);
      if (token.index % 7 === 3) proxy.breakNow();
    }
    expect(tokens).toEqual(await tokensOf(reference, options));
  });

  it('ends what is cancelled, or left, on the board that has it', async () => {
    const generation = model.generate(PROMPT, { maxTokens: 400, temperature: 0, ignoreEos: true, window: 2 });
    for await (const token of generation) if (token.index === 3) break;
    expect((await generation.done).reason).toBe('cancelled');
    await expect
      .poll(async () => (await board.fleetStatus()).boards.map(({ inHand }) => inHand))
      .toEqual([0, 0, 0, 0]);
    const { models } = await board.metrics();
    expect(models.flatMap(({ sequences }) => sequences)).toEqual([]);
  });

  it('keeps others going beside a client that does not read', async () => {
    const stuck = model.generate(PROMPT, { maxTokens: 400, temperature: 0, ignoreEos: true, window: 2 });
    await stuck.admitted;
    const others = await Promise.all([1, 2, 3, 4, 5].map((seed) => tokensOf(model, { maxTokens: 10, seed })));
    for (const [i, tokens] of others.entries())
      expect(tokens).toEqual(await tokensOf(reference, { maxTokens: 10, seed: i + 1 }));
    await stuck[Symbol.asyncDispose]();
  });

  it('refuses what a board refuses with the same code, and ends late requests', async () => {
    const refused = (options: GenerateOptions) => tokensOf(model, options);
    await expect(
      refused({ responseFormat: { type: 'json-schema', schema: { type: 'object', required: 3 } } }),
    ).rejects.toMatchObject({ code: expect.stringMatching(/^LLM_SCHEMA/) });
    await expect(model.generate({ tokens: new Array<number>(4_096).fill(1) }).done).rejects.toMatchObject({
      code: 'LLM_PROMPT_TOO_LONG',
    });
    await expect(
      refused({ maxTokens: 400, ignoreEos: true, deadlineMs: 300, window: 1 }),
    ).rejects.toMatchObject({ code: 'LLM_DEADLINE' });
  });

  it('scores, counts tokens and turns them back, as one board does', async () => {
    const ids = await reference.tokenize(`${PROMPT}, there was a girl`);
    expect(await model.tokenize(`${PROMPT}, there was a girl`)).toEqual(ids);
    expect(await model.detokenize(ids)).toBe(await reference.detokenize(ids));
    expect(await model.score(ids)).toEqual(await reference.score(ids));
  });

  it('says that registers, memory and pins are one board’s', async () => {
    expect(board.info).toMatchObject({ device: 'fleet:', fleet: { boards: 4 } });
    expect(board.info.capabilities).not.toContain('registers');
    for (const asked of [
      () => board.registers.list(),
      () => board.buffers.allocate(64),
      () => board.counters.read(),
      () => model.pin(PROMPT),
    ])
      await expect(asked()).rejects.toMatchObject({ code: 'FLEET_NOT_SERVED' });
    await expect(alone.fleetStatus()).rejects.toMatchObject({ code: 'FLEET_NOT_A_FLEET' });
  });
});

describe('boards that come and go', () => {
  it('fetch models by their digests, in pieces, and have what all have', async () => {
    await using small = await testFleet({ boards: 1, ownStores: true });
    await using client = await connect(small.url);
    const uploaded = await client.models.upload(TINY_MODEL);
    await small.join('late');
    await expect
      .poll(async () =>
        (await client.fleetStatus()).boards.map(({ models }) => models.map(({ state }) => state)),
      )
      .toEqual([['loaded'], ['loaded']]);
    // The first one leaves: what is there is the late one's.
    await small.boards.get('mock-1')?.member.close();
    const options = { maxTokens: 6, temperature: 0 };
    expect(await tokensOf(uploaded, options)).toEqual(await tokensOf(reference, options));
    expect((await client.fleetStatus()).boards.map(({ name }) => name)).toEqual(['late']);
  });

  it('that drain end what they have and get nothing new', async () => {
    await using two = await testFleet({ boards: 2 });
    await using client = await connect(two.url);
    const loaded = await client.models.upload(TINY_MODEL);
    await two.boards.get('mock-1')?.member.drain(0);
    await expect.poll(async () => (await client.fleetStatus()).boards[0].state).toBe('draining');
    const options = { maxTokens: 6, temperature: 0 };
    const all = await Promise.all(Array.from({ length: 6 }, () => tokensOf(loaded, options)));
    for (const tokens of all) expect(tokens).toEqual(await tokensOf(reference, options));
    const { models } = await client.metrics();
    expect(models).toHaveLength(1);
  });

  it('leave requests waiting while there is none, for so long as they may', async () => {
    await using small = await testFleet({ boards: 1, maxWaitMs: 1_500 });
    await using client = await connect(small.url);
    const loaded = await client.models.upload(TINY_MODEL);
    const prompt = { tokens: await loaded.tokenize(PROMPT) };
    await small.boards.get('mock-1')?.member.close();
    await expect(loaded.generate(prompt, { maxTokens: 4 }).done).rejects.toMatchObject({
      code: 'FLEET_NO_BOARDS',
    });
    const waiting = loaded.generate(prompt, { maxTokens: 4, temperature: 0 });
    await small.join('mock-1');
    expect(await waiting.text()).toBe(
      await reference.generate(prompt, { maxTokens: 4, temperature: 0 }).text(),
    );
  });
});
