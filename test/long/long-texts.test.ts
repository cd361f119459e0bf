import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { AgentHandle } from '../../agent/index.js';
import { type BoardClient, connect, type Model } from '../../sdk/index.js';
import { TINY_MODEL, testAgent } from '../system/support/agent.js';
import { modelWithChatTemplate } from '../system/support/chat-model.js';

const PROMPT = 'Once upon a time';
const OPTIONS = { maxTokens: 200, seed: 7, ignoreEos: true };
/** What an agent takes for a text, at most. */
const MEGABYTE = 1_048_576;
const ENDLESS =
  '{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}{{ messages[0].content }}';
/** Each behind an endless template: in all far more than the time limit, if those were not ended. */
const CHATS = 8;
const code = (name: string) => expect.objectContaining({ code: name });

let agent: AgentHandle;
let quiet: BoardClient;
let hostile: BoardClient;
let model: Model;
let alike: Model;

beforeAll(async () => {
  agent = await testAgent();
  quiet = await connect(agent.url);
  hostile = await connect(agent.url);
  model = await quiet.models.upload(TINY_MODEL);
  alike = await hostile.models.upload(TINY_MODEL);
});
afterAll(async () => {
  await quiet.close();
  await hostile.close();
  await agent.close();
});

describe('while a client sends texts of a megabyte again and again', () => {
  it("another's generation goes on between them and within them, with the same text", async () => {
    const expected = await model.generate(PROMPT, OPTIONS).text();
    let tokens = 0;
    let isOver = false;
    /** Tokens of the other client that came while each long text was worked on. */
    const meanwhile: number[] = [];
    const attack = async () => {
      while (!isOver) {
        await expect(alike.generate('a\n'.repeat(MEGABYTE / 2)).text()).rejects.toThrow(
          code('LLM_PROMPT_TOO_LONG'),
        );
        const before = tokens;
        await alike.tokenize('a b '.repeat(MEGABYTE / 32));
        if (!isOver) meanwhile.push(tokens - before);
      }
    };
    const read = async () => {
      let text = '';
      while (meanwhile.length < 2) {
        text = '';
        for await (const token of model.generate(PROMPT, OPTIONS)) {
          tokens++;
          text += token.text;
        }
        expect(text).toBe(expected);
      }
      isOver = true;
    };
    await Promise.all([attack(), read()]);
    expect(Math.min(...meanwhile)).toBeGreaterThanOrEqual(1);
    const { state, restarts } = await quiet.health();
    expect({ state, restarts }).toEqual({ state: 'ready', restarts: 0 });
  });

  it('a generation whose text is not done is cancelled, and one whose client goes away leaves nothing behind', async () => {
    // The texts before it take their turns first, so that this one is not begun when the cancel comes.
    const before = Array.from({ length: 4 }, () => alike.tokenize('a b '.repeat(MEGABYTE / 32)));
    const generation = alike.generate('a b '.repeat(12_000));
    // The agent knows of the generation once it has answered what was sent after it.
    await hostile.health();
    await generation.cancel();
    expect((await generation.done).reason).toBe('cancelled');
    await Promise.all(before);

    const gone = await connect(agent.url);
    const lost = (await gone.models.upload(TINY_MODEL)).tokenize('a b '.repeat(MEGABYTE / 4));
    const ends = expect(lost).rejects.toThrow(code('SDK_CLOSED'));
    await gone.close();
    await ends;
    // The agent hears of the end a moment later.
    await vi.waitFor(() => model.unload(), 20_000);
  });
});

describe('a chat template', () => {
  it('that never ends keeps no generation from its steps; conversations are limited as one text is', async () => {
    const endless = await hostile.models.upload(modelWithChatTemplate(ENDLESS));
    const never = endless.generate({ messages: [{ role: 'user', content: 'Hi' }] });
    never.done.catch(() => {});
    const { reason } = await (async () => {
      const generation = model.generate(PROMPT, { ...OPTIONS, maxTokens: 50 });
      await generation.text();
      return generation.done;
    })();
    expect(reason).toBe('max-tokens');
    await never.cancel();
    expect((await never.done).reason).toBe('cancelled');
    const messages = Array.from({ length: 2 }, () => ({
      role: 'user' as const,
      content: 'a'.repeat(MEGABYTE - 1),
    }));
    await expect(endless.generate({ messages }).text()).rejects.toThrow(code('LLM_PROMPT_TOO_LONG'));
  });

  it('that never ends, started and cancelled again and again, leaves the thread to the chats of others', async () => {
    const endless = await hostile.models.upload(modelWithChatTemplate(ENDLESS));
    const other = await quiet.models.upload(modelWithChatTemplate('{{ messages[0].content }}'));
    const messages = [{ role: 'user' as const, content: PROMPT }];
    let isOver = false;
    const attack = async () => {
      while (!isOver) {
        const never = endless.generate({ messages });
        await new Promise((resolve) => setTimeout(resolve, 300));
        await never.cancel();
        expect((await never.done).reason).toBe('cancelled');
      }
    };
    const chat = async () => {
      for (let chats = 0; chats < CHATS; chats++) {
        const generation = other.generate({ messages }, { ...OPTIONS, maxTokens: 4 });
        await generation.text();
        expect((await generation.done).reason).toBe('max-tokens');
      }
      isOver = true;
    };
    await Promise.all([attack(), chat()]);
  }, 90_000);
});
