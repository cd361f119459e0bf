import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BoardClient, connect, type Model } from '../../sdk/index.js';
import { slowMock, TINY_MODEL, temporaryDirectory, testAgent } from './support/agent.js';
import { breakingProxy } from './support/breaking-proxy.js';
import { modelWithChatTemplate } from './support/chat-model.js';
import { cli, cliAgent } from './support/cli.js';

const SYSTEM =
  'There was a small grey cat who lived in a house by the sea with a little girl, her mother and an old, friendly dog. ';
const OTHER =
  'On a hot summer day two boys went to the park to play with a red ball, a kite and a big green plastic truck. ';
/** Room for about two generations of 100 tokens. */
const KV_BYTES = 300 * 1024;
const OPTIONS = { maxTokens: 16, ignoreEos: true, seed: 4 };

async function kvOf(board: BoardClient) {
  const [model] = (await board.metrics()).models;
  if (model?.kv === undefined) throw new Error('no model keeps keys and values');
  return model.kv;
}

/** An agent with one model. */
async function setUp(options: Parameters<typeof testAgent>[0] = {}) {
  const agent = await testAgent(options);
  const board = await connect(agent.url);
  const model = await board.models.upload(TINY_MODEL);
  return {
    agent,
    board,
    model,
    async [Symbol.asyncDispose]() {
      await board.close();
      await agent.close();
    },
  };
}

/** The text after a prompt, and how many of its pages were there already. */
async function tell(board: BoardClient, model: Model, prompt: string) {
  const before = (await kvOf(board)).hits;
  const text = await model.generate(`${prompt}One day`, OPTIONS).text();
  return { text, hits: (await kvOf(board)).hits - before };
}

describe('a pin', () => {
  /** With room for all; nothing is pinned between tests. */
  let roomy: Awaited<ReturnType<typeof setUp>>;
  beforeAll(async () => {
    roomy = await setUp();
  });
  afterAll(async () => {
    await roomy?.[Symbol.asyncDispose]();
  });

  it('keeps a prompt where others are thrown out; what follows is computed faster and is the same text', async () => {
    const { text } = await tell(roomy.board, roomy.model, SYSTEM);

    await using pressed = await setUp({ kv: { bytes: KV_BYTES } });
    const { board, model } = pressed;
    await using pin = await model.pin(SYSTEM);
    expect(pin.tokens).toBeGreaterThanOrEqual(16);
    expect(pin.tokens % 16).toBe(0);
    await (await model.pin(OTHER)).release();
    expect(await kvOf(board)).toMatchObject({ pinned: pin.tokens / 16 });
    for (const seed of [1, 2, 3])
      await model.generate(`${seed} birds sat on a tree.`, { maxTokens: 120, ignoreEos: true, seed }).text();
    expect((await kvOf(board)).evictions).toBeGreaterThan(0);
    expect(await tell(board, model, SYSTEM)).toEqual({ text, hits: pin.tokens / 16 });
    expect((await tell(board, model, OTHER)).hits).toBe(0);
  });

  it('ends when it is released, disposed of, and with its session or model', async () => {
    const { agent, board, model } = roomy;
    const pages = async () => (await kvOf(board)).pinned;
    {
      await using pin = await model.pin({ text: SYSTEM });
      expect(await pages()).toBe(pin.tokens / 16);
    }
    expect(await pages()).toBe(0);
    const pin = await model.pin(SYSTEM);
    await pin.release();
    await pin.release();
    expect([pin.tokens, await pages()]).toEqual([0, 0]);

    const other = await connect(agent.url);
    await (await other.models.load(model.digest)).pin(SYSTEM);
    expect(await pages()).toBeGreaterThan(0);
    await other.close();
    await expect.poll(pages).toBe(0);

    const last = await model.pin(SYSTEM);
    await model.unload();
    await board.models.load(model.digest);
    expect(await pages()).toBe(0);
    // The agent has no such pin any more: there is nothing left to release.
    await last.release();
  });

  it('that is cancelled, or whose session dies while it is computed, leaves nothing', async () => {
    using directory = temporaryDirectory();
    await using set = await setUp({ device: slowMock(directory.path) });
    const { agent, board, model } = set;
    const tokens = Array.from({ length: 480 }, (_, i) => 300 + i);
    const begun = () => expect.poll(async () => (await board.metrics()).models[0]?.sequences).toHaveLength(1);
    const ended = () =>
      expect
        .poll(async () => (await board.metrics()).models)
        .toMatchObject([{ sequences: [], kv: { used: 0, pinned: 0 } }]);
    const enough = new AbortController();
    const told: (string | number)[][] = [];
    const pinning = model.pin(
      { tokens },
      { signal: enough.signal, class: 'batch', onProgress: (...progress) => told.push(progress) },
    );
    const refused = expect(pinning).rejects.toBe('enough');
    await begun();
    await expect.poll(() => told.length).toBeGreaterThan(0);
    enough.abort('enough');
    await refused;
    await ended();
    expect(told[0]?.[1]).toBe(480);

    const other = await connect(agent.url);
    const lost = (await other.models.load(model.digest)).pin({ tokens: tokens.toReversed() });
    const failed = expect(lost).rejects.toMatchObject({ code: 'SDK_CLOSED' });
    await begun();
    await expect(model.unload()).rejects.toMatchObject({ code: 'AGENT_MODEL_BUSY' });
    await other.close();
    await failed;
    await ended();
  });

  it('is made again after a broken connection', async () => {
    const { agent, board, model } = roomy;
    await using proxy = await breakingProxy(agent.url);
    await using far = await connect(proxy.url);
    await using pin = await (await far.models.load(model.digest)).pin(SYSTEM);
    const { tokens } = pin;
    for (let round = 0; round < 3; round++) {
      proxy.breakNow();
      await expect.poll(() => proxy.connections).toBe(round + 2);
      await expect.poll(() => pin.tokens).toBe(tokens);
      // The session that broke, which pinned the same pages, is gone.
      await expect.poll(async () => (await board.health()).sessions).toBe(2);
      expect((await kvOf(board)).pinned).toBe(tokens / 16);
    }
    expect(pin.error).toBeUndefined();
    await pin.release();
    expect(await kvOf(board)).toMatchObject({ used: 0, pinned: 0 });
  });

  it('of a conversation keeps the system message for every chat that begins with it', async () => {
    await using agent = await testAgent();
    await using board = await connect(agent.url);
    const model = await board.models.upload(modelWithChatTemplate(TEMPLATE));
    const system = { role: 'system', content: SYSTEM };
    await using pin = await model.pin({ messages: [system] });
    const before = (await kvOf(board)).hits;
    const messages = [system, { role: 'user', content: 'Tell me a story.' }];
    await model.generate({ messages }, OPTIONS).text();
    expect((await kvOf(board)).hits - before).toBe(pin.tokens / 16);
  });

  it.each([
    ['of no tokens', { tokens: [] }, 'LLM_PROMPT_EMPTY'],
    [
      'of more than half of the memory',
      { tokens: Array.from({ length: 300 }, (_, i) => 300 + i) },
      'LLM_KV_PINNED',
    ],
  ])('%s is refused', async (_, prompt, code) => {
    await using set = await setUp({ kv: { bytes: KV_BYTES } });
    await expect(set.model.pin(prompt)).rejects.toMatchObject({ code });
    expect(await kvOf(set.board)).toMatchObject({ used: 0, pinned: 0 });
  });

  it('of less than 16 tokens keeps none; a session has 64 pins at most', async () => {
    await using set = await setUp();
    const pins = await Promise.all(Array.from({ length: 64 }, () => set.model.pin('Once')));
    expect(pins.map(({ tokens }) => tokens)).toEqual(pins.map(() => 0));
    await expect(set.model.pin(SYSTEM)).rejects.toMatchObject({ code: 'AGENT_PIN_QUOTA' });
    await pins[0].release();
    await using pin = await set.model.pin(SYSTEM);
    expect(pin.tokens).toBeGreaterThan(0);
    // Those of a model that was unloaded do not count.
    await set.model.unload();
    await expect(set.model.pin(SYSTEM)).resolves.toMatchObject({ tokens: pin.tokens });
  });
});

const TEMPLATE =
  '{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}{% if add_generation_prompt %}And so the old dog answered, as he always did when he was asked in the evening: {% endif %}';

describe('pynq-llm serve --pin-prompt', () => {
  it('keeps the prompt in memory as long as it serves', async () => {
    using directory = temporaryDirectory();
    const file = join(directory.path, 'system.txt');
    writeFileSync(file, `${SYSTEM}\n`);
    await using agent = await cliAgent(directory.path);
    await using board = await connect(agent.url);
    const { digest } = await board.models.upload(TINY_MODEL);
    let pinned: Promise<number> | undefined;
    const { status, stderr } = await cli(
      ['serve', '-d', agent.url, '-m', digest, '--port', '0', '--pin-prompt', file],
      {
        home: directory.path,
        onOutput: (child) => {
          pinned = kvOf(board).then((kv) => kv.pinned);
          void pinned.finally(() => child.kill());
        },
      },
    );
    const pages = (await pinned) ?? 0;
    expect(pages).toBeGreaterThan(0);
    expect(stderr).toContain(`${16 * pages} tokens of the prompt stay in memory`);
    expect(status).toBe(0);
    await expect.poll(async () => (await kvOf(board)).pinned).toBe(0);
  });

  it('needs a model', async () => {
    using directory = temporaryDirectory();
    const { status, stderr } = await cli(['serve', '-d', 'mock:', '--pin-prompt', 'no-such-file'], {
      home: directory.path,
    });
    expect(status).not.toBe(0);
    expect(stderr).toContain('--pin-prompt needs --model');
  });
});
