import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AgentHandle } from '../../agent/index.js';
import { type BoardClient, connect, type GenerateOptions, type Model, type Token } from '../../sdk/index.js';
import { slowMock, TINY_MODEL, temporaryDirectory, testAgent } from './support/agent.js';
import { breakingProxy } from './support/breaking-proxy.js';

const PROMPT = 'Once upon a time';
const OPTIONS: GenerateOptions = { maxTokens: 80, seed: 7, ignoreEos: true };

let agent: AgentHandle;
let board: BoardClient;
let model: Model;
let expected: Token[];

async function read(from: Model, options: GenerateOptions = OPTIONS): Promise<Token[]> {
  const tokens: Token[] = [];
  for await (const token of from.generate(PROMPT, options)) tokens.push(token);
  return tokens;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

beforeAll(async () => {
  agent = await testAgent();
  board = await connect(agent.url);
  model = await board.models.upload(TINY_MODEL);
  expected = await read(model);
});
afterAll(async () => {
  await board.close();
  await agent.close();
});

describe('a generation', () => {
  it('numbers its tokens from 0 and tells how it ended', async () => {
    const generation = model.generate(PROMPT, OPTIONS);
    const tokens = [];
    for await (const token of generation) tokens.push(token);
    expect(tokens.map(({ index }) => index)).toEqual([...Array(80).keys()]);
    const done = await generation.done;
    expect(done).toMatchObject({ reason: 'max-tokens', tokens: 80 });
    expect(done.counters.coreMultiplyAdds).toBeGreaterThan(0);
    expect(done.timing.promptTokens).toBeGreaterThan(1);
  });

  it('gives the same tokens for the same seed, alone or beside others', async () => {
    const together = await Promise.all([read(model), read(model, { ...OPTIONS, seed: 8 }), read(model)]);
    expect(together[0]).toEqual(expected);
    expect(together[1]).not.toEqual(expected);
    expect(together[2]).toEqual(expected);
  });

  it('gives the same tokens with drafts, from the text or from a smaller model, which stays loaded meanwhile', async () => {
    const draftModel = await board.models.upload('models/tiny-stories-Q2_K.gguf');
    expect(await read(model, { ...OPTIONS, promptLookup: true })).toEqual(expected);
    const generation = model.generate(PROMPT, { ...OPTIONS, draftModel });
    const tokens: Token[] = [];
    for await (const token of generation) {
      if (tokens.push(token) === 1) await expect(draftModel.unload()).rejects.toThrow(/AGENT_MODEL_BUSY/);
    }
    expect(tokens).toEqual(expected);
    await draftModel.unload();
    await expect(read(model, { ...OPTIONS, draftModel, promptLookup: true })).rejects.toThrow(
      /LLM_REQUEST_INVALID/,
    );
  });

  it('gives the same tokens while a self-test uses the core', async () => {
    const [tokens, summary] = await Promise.all([read(model), board.device.selfTest('vectors')]);
    expect(tokens).toEqual(expected);
    expect(summary.passed).toBe(summary.cases);
  });

  it('is cancelled within a step, and its tokens up to then come', async () => {
    const generation = model.generate(PROMPT, { ...OPTIONS, maxTokens: 400, window: 4 });
    const tokens: Token[] = [];
    for await (const token of generation) {
      tokens.push(token);
      if (tokens.length === 10) await generation.cancel();
    }
    expect((await generation.done).reason).toBe('cancelled');
    expect(tokens.length).toBeGreaterThanOrEqual(10);
    expect(tokens.length).toBeLessThanOrEqual(10 + 4);
    expect(tokens).toEqual(expected.slice(0, tokens.length));
  });

  it('is cancelled when its loop is left', async () => {
    const generation = model.generate(PROMPT, { ...OPTIONS, maxTokens: 400 });
    for await (const token of generation) if (token.index === 2) break;
    expect((await generation.done).reason).toBe('cancelled');
    expect((await board.health()).generations).toBe(0);
  });

  it('ends with the reason of an aborted signal', async () => {
    const abort = new AbortController();
    const generation = model.generate(PROMPT, { ...OPTIONS, maxTokens: 400, signal: abort.signal });
    const reading = (async () => {
      for await (const token of generation) if (token.index === 2) abort.abort(new Error('enough'));
    })();
    await expect(reading).rejects.toThrow('enough');
    await expect(generation.done).rejects.toThrow('enough');
    await expect.poll(async () => (await board.health()).generations).toBe(0);
  });

  it('gives no token more once its signal is aborted, also of those that came before', async () => {
    const abort = new AbortController();
    const generation = model.generate(PROMPT, { ...OPTIONS, maxTokens: 8, signal: abort.signal });
    await generation.done;
    const read: number[] = [];
    const reading = (async () => {
      for await (const { index } of generation) {
        read.push(index);
        if (index === 2) abort.abort(new Error('enough'));
      }
    })();
    await expect(reading).rejects.toThrow('enough');
    expect(read).toEqual([0, 1, 2]);
  });

  it('never starts when its signal was aborted before', async () => {
    const generation = model.generate(PROMPT, { ...OPTIONS, signal: AbortSignal.abort(new Error('no')) });
    await expect(generation.done).rejects.toThrow('no');
  });

  it('stops at the window when nobody reads, and loses nothing', async () => {
    const generation = model.generate(PROMPT, { ...OPTIONS, window: 5 });
    await expect
      .poll(async () => (await board.metrics()).models.flatMap(({ sequences }) => sequences))
      .toMatchObject([{ generated: 5 }]);
    const before = (await board.counters.read()).traffic.matMuls;
    await pause(300);
    expect((await board.counters.read()).traffic.matMuls).toBe(before);
    const tokens: Token[] = [];
    for await (const token of generation) tokens.push(token);
    expect(tokens).toEqual(expected);
  });

  it('refuses to be read twice', async () => {
    const generation = model.generate(PROMPT, { ...OPTIONS, maxTokens: 1 });
    await generation.text();
    await expect(generation.text()).rejects.toMatchObject({ code: 'SDK_ALREADY_READ' });
  });

  it('refuses parameters out of range before anything is sent', async () => {
    await expect(model.generate(PROMPT, { temperature: -1 }).done).rejects.toMatchObject({
      code: 'PROTOCOL_BAD_PARAMS',
    });
  });

  it('ends in a clear error when the prompt is longer than the context', async () => {
    const tokens = Array<number>(model.info.contextLength + 1).fill(80);
    await expect(model.generate({ tokens }).done).rejects.toMatchObject({ code: 'LLM_PROMPT_TOO_LONG' });
  });

  it('loads the model again where the board lost it', async () => {
    await model.unload();
    expect(await read(model)).toEqual(expected);
  });
});

describe('a generation over a network that breaks', () => {
  it('goes on without losing or repeating a token, wherever it breaks', async () => {
    await using proxy = await breakingProxy(agent.url);
    await using far = await connect(proxy.url);
    const remote = await far.models.load(model.digest);
    let seed = 12345;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    for (let round = 0; round < 12; round++) {
      const breaks = new Set([random(80), random(80), random(80)]);
      const tokens: Token[] = [];
      const generation = remote.generate(PROMPT, { ...OPTIONS, window: 1 + random(40) });
      for await (const token of generation) {
        tokens.push(token);
        if (breaks.has(token.index)) proxy.breakNow();
      }
      expect(tokens).toEqual(expected);
      expect((await generation.done).reason).toBe('max-tokens');
    }
    expect(proxy.connections).toBeGreaterThan(12);
  });

  it('goes on when connections break after some bytes, also within hello or start', async () => {
    await using proxy = await breakingProxy(agent.url);
    await using far = await connect(proxy.url);
    const remote = await far.models.load(model.digest);
    for (const limit of [2_000, 3_000, 5_000]) {
      proxy.breakAfter(limit);
      proxy.breakNow();
      expect(await read(remote, { ...OPTIONS, window: 8 })).toEqual(expected);
    }
  });

  it('that went on after tokens from elsewhere does so too', async () => {
    await using proxy = await breakingProxy(agent.url);
    await using far = await connect(proxy.url);
    const remote = await far.models.load(model.digest);
    const ids = expected.map(({ id }) => id);
    for (const [cut, breaks] of [
      [0, [0, 1, 50]],
      [1, [1, 2, 3]],
      [30, [30, 42, 79]],
      [79, [79]],
    ] as const) {
      const tokens: Token[] = [];
      const continueFrom = ids.slice(0, cut);
      const generation = remote.generate(PROMPT, { ...OPTIONS, continueFrom, window: 3 });
      for await (const token of generation) {
        tokens.push(token);
        if (breaks.some((index) => index === token.index)) proxy.breakNow();
      }
      expect(tokens).toEqual(expected.slice(cut));
      expect(await generation.done).toMatchObject({ reason: 'max-tokens', tokens: 80 });
    }
    for (const limit of [2_000, 3_000, 5_000]) {
      proxy.breakAfter(limit);
      proxy.breakNow();
      const rest = await read(remote, { ...OPTIONS, continueFrom: ids.slice(0, 20), window: 8 });
      expect(rest).toEqual(expected.slice(20));
    }
  });

  it('goes on when the last event is lost', async () => {
    await using proxy = await breakingProxy(agent.url);
    await using far = await connect(proxy.url);
    const remote = await far.models.load(model.digest);
    const generation = remote.generate(PROMPT, OPTIONS);
    const tokens: Token[] = [];
    for await (const token of generation) {
      tokens.push(token);
      if (token.index === 79) proxy.breakNow();
    }
    expect(tokens).toEqual(expected);
    expect((await generation.done).reason).toBe('max-tokens');
  });
});

describe('a generation on a slow board', () => {
  it('waits for its long prompt, and for that of another, for longer than it waits without progress', async () => {
    using directory = temporaryDirectory();
    await using slowAgent = await testAgent({ device: slowMock(directory.path) });
    await using client = await connect(slowAgent.url);
    const onSlow = await client.models.upload(TINY_MODEL);
    const stallMs = 2_000;
    // 320 tokens are 2.8 s of this slow core for the prompt that is computed first, whatever the machine.
    const prompt = { tokens: Array<number>(320).fill(80) };
    const timings = await Promise.all(
      [1, 2].map(async () => {
        const generation = onSlow.generate(prompt, { maxTokens: 1, ignoreEos: true, stallMs });
        await generation.text();
        return (await generation.done).timing;
      }),
    );
    for (const { queuedMs, prefillMs } of timings) expect(queuedMs + prefillMs).toBeGreaterThan(stallMs);
  });
});
