import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PynqLlmError } from '../../errors/index.js';
import { outcome, pack, unpack } from '../../fleet/messages.js';
import { type BoardClient, connect, type GenerateOptions, type Model, type Token } from '../../sdk/index.js';
import { openMock } from '../../sdk/mock.js';
import { TINY_MODEL } from './support/agent.js';
import { type TestFleet, testFleet } from './support/fleet.js';

const WAIT = { timeout: 60_000, interval: 50 };
const LONG = { maxTokens: 80, temperature: 0, ignoreEos: true } as const;

let alone: BoardClient;
let reference: Model;
let fleet: TestFleet;
let board: BoardClient;
let model: Model;
beforeAll(async () => {
  alone = await openMock();
  reference = await alone.models.upload(TINY_MODEL);
});
afterEach(async () => {
  await board?.close();
  await fleet?.[Symbol.asyncDispose]();
});
afterAll(() => alone?.close());

async function start(boards: number): Promise<void> {
  fleet = await testFleet({ boards });
  board = await connect(fleet.url);
  model = await board.models.upload(TINY_MODEL);
}

async function tokensOf(of: Model, prompt: string, options: GenerateOptions): Promise<Token[]> {
  const tokens: Token[] = [];
  for await (const token of of.generate(prompt, options)) tokens.push(token);
  return tokens;
}

/** A prompt of some pages that no other one begins with. */
const story = (name: string) =>
  `Once upon a time there was a little dog called ${name}. `.concat(
    `${name} liked to play in the park with a red ball and a big stick, and every day ${name} ran home. `.repeat(
      4,
    ),
  );

/** The board that said tokens last. */
function lastBoard(): () => string | undefined {
  let last: string | undefined;
  for (const { cut } of fleet.boards.values())
    cut.before = (subject) => {
      const [kind, name] = subject.split('.');
      if (kind === 'tok') last = name;
      return false;
    };
  return () => last;
}

const statusOf = async (name: string) => (await board.fleetStatus()).boards.find((one) => one.name === name)!;

describe('prefix pages', () => {
  it('that a board has told count: who comes with the same beginning goes where it is', async () => {
    await start(4);
    const last = lastBoard();
    const where = new Map<string, string | undefined>();
    for (const name of ['Tom', 'Sue', 'Max']) {
      await tokensOf(model, story(name), { maxTokens: 4, temperature: 0 });
      where.set(name, last());
      await expect.poll(async () => (await statusOf(last()!)).pages, WAIT).toBeGreaterThanOrEqual(4);
    }
    expect(new Set(where.values()).size).toBe(3);
    const hits = async () => (await board.metrics()).models[0]?.kv?.hits ?? 0;
    for (const name of ['Max', 'Tom', 'Sue', 'Tom']) {
      const before = await hits();
      const prompt = `${story(name)}One day`;
      expect(await tokensOf(model, prompt, { maxTokens: 4, temperature: 0 })).toEqual(
        await tokensOf(reference, prompt, { maxTokens: 4, temperature: 0 }),
      );
      expect(last(), name).toBe(where.get(name));
      expect((await hits()) - before, name).toBeGreaterThanOrEqual(4);
    }
  });

  it('are known again after news of them were lost', async () => {
    await start(1);
    const { cut } = fleet.boards.get('mock-1')!;
    let lost = 0;
    cut.losesPublished = (subject) => subject.startsWith('FLEET.pages.') && ++lost > 0;
    for (const name of ['Tom', 'Sue']) await tokensOf(model, story(name), { maxTokens: 4, temperature: 0 });
    await expect.poll(() => lost, WAIT).toBeGreaterThan(0);
    const kept = async () =>
      (await fleet.gateway.leading!.calls.ask('mock-1', 'models.pages', { model: model.digest })).added
        .length;
    expect((await statusOf('mock-1')).pages).toBeLessThan(await kept());
    cut.losesPublished = () => false;
    await expect.poll(async () => (await statusOf('mock-1')).pages, WAIT).toBe(await kept());
  });
});

describe('a request that a board has', () => {
  it('and has not begun is taken back when another board joins, and begun there', async () => {
    await start(1);
    let pull: () => void = () => {};
    const { cut } = fleet.boards.get('mock-1')!;
    cut.pulls = new Promise((resolve) => {
      pull = resolve;
    });
    // A pull that waits since before takes the first of them.
    const options = { maxTokens: 8, temperature: 0 };
    const asked = Array.from({ length: 5 }, (_, i) => tokensOf(model, `The ${i}`, options));
    await expect.poll(async () => (await statusOf('mock-1')).inHand, WAIT).toBe(5);
    await fleet.join('mock-2');
    await expect.poll(async () => (await board.fleetStatus()).moved, WAIT).toBeGreaterThan(0);
    pull();
    for (const [i, tokens] of (await Promise.all(asked)).entries())
      expect(tokens).toEqual(await tokensOf(reference, `The ${i}`, options));
    expect(await board.fleetStatus()).toMatchObject({ redelivered: 0, diverged: 0 });
  });

  it('goes on elsewhere where its board is heard and does nothing, and others go there at once', async () => {
    await start(2);
    let pull: () => void = () => {};
    fleet.boards.get('mock-1')!.cut.pulls = new Promise((resolve) => {
      pull = resolve;
    });
    const options = { maxTokens: 4, temperature: 0 };
    // A pull that waits since before takes the first of them.
    for (let i = 0; i < 6; i++)
      expect(await tokensOf(model, `The ${i}`, options)).toEqual(
        await tokensOf(reference, `The ${i}`, options),
      );
    expect(await board.fleetStatus()).toMatchObject({ redelivered: 1, diverged: 0 });
    pull();
  }, 90_000);

  it('which has no room for it goes to another one, and ends where none has', async () => {
    await start(2);
    const small = new PynqLlmError('LLM_KV_TOO_LONG', 'There is room for 8 tokens.').toWire();
    const isSmall = new Set(['mock-1']);
    for (const [name, { cut }] of fleet.boards)
      cut.onAppend = (subject, _id, data) => {
        if (!isSmall.has(name)) return data;
        if (!subject.startsWith('end.')) return undefined;
        const { event: _, ...of } = unpack(outcome, data, 'An end');
        return pack({ ...of, event: { type: 'failed', error: small } });
      };
    const options = { maxTokens: 4, temperature: 0 };
    for (let i = 0; i < 3; i++)
      expect(await tokensOf(model, `The ${i}`, options)).toEqual(
        await tokensOf(reference, `The ${i}`, options),
      );
    expect((await board.fleetStatus()).redelivered).toBeGreaterThan(0);
    isSmall.add('mock-2');
    await expect(tokensOf(model, 'The', options)).rejects.toMatchObject({ code: 'LLM_KV_TOO_LONG' });
  });

  it('and that runs goes on elsewhere when its board drains', async () => {
    await start(2);
    const asked = Array.from({ length: 4 }, (_, i) => tokensOf(model, `The ${i}`, LONG));
    await expect.poll(async () => (await statusOf('mock-1')).inHand, WAIT).toBeGreaterThan(0);
    await fleet.boards.get('mock-1')!.member.drain(0);
    await expect.poll(async () => (await statusOf('mock-1')).inHand, WAIT).toBe(0);
    const { moved } = await board.fleetStatus();
    for (const [i, tokens] of (await Promise.all(asked)).entries())
      expect(tokens).toEqual(await tokensOf(reference, `The ${i}`, LONG));
    expect(moved).toBeGreaterThan(0);
    expect(await board.fleetStatus()).toMatchObject({ redelivered: 0, diverged: 0 });
  });

  it('and that runs beside many goes on where a board has joined', async () => {
    await start(1);
    let go: () => void = () => {};
    const joined = new Promise<void>((resolve) => {
      go = resolve;
    });
    // Each waits for its client before it is far: so long it costs its board nothing, and stays where it is.
    const asked = Array.from({ length: 8 }, async (_, i) => {
      const tokens: Token[] = [];
      for await (const token of model.generate(`The ${i}`, { ...LONG, window: 16 })) {
        tokens.push(token);
        if (token.index === 2) await joined;
      }
      return tokens;
    });
    await expect.poll(async () => (await board.fleetStatus()).tokens, WAIT).toBeGreaterThan(8);
    await fleet.join('mock-2');
    await expect
      .poll(async () => (await statusOf('mock-2')).models.map(({ state }) => state), WAIT)
      .toEqual(['loaded']);
    expect((await board.fleetStatus()).moved).toBe(0);
    go();
    for (const [i, tokens] of (await Promise.all(asked)).entries())
      expect(tokens).toEqual(await tokensOf(reference, `The ${i}`, LONG));
    expect((await board.fleetStatus()).moved).toBeGreaterThan(0);
    expect(await board.fleetStatus()).toMatchObject({ redelivered: 0, diverged: 0 });
  });
});

it('a question to a board that is lost is asked of another one once its lease is over', async () => {
  fleet = await testFleet({ boards: 2, leaseMs: 1_500 });
  board = await connect(fleet.url);
  model = await board.models.upload(TINY_MODEL);
  const whole = await reference.tokenize('The dog');
  fleet.boards.get('mock-1')!.cut.now();
  const began = performance.now();
  // One of two in a row is asked of it.
  expect([await model.tokenize('The dog'), await model.tokenize('The dog')]).toEqual([whole, whole]);
  // It would be two minutes.
  expect(performance.now() - began).toBeLessThan(60_000);
});
