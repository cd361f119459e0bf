import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { slowMock, TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { type AgentProcess, cliServer } from './support/cli.js';

// A token takes a quarter of a second on this board's clock.
const home = temporaryDirectory();
const servers = new Map<string, AgentProcess>();
const LIMIT_S = 5;
beforeAll(async () => {
  const device = slowMock(home.path);
  for (const limit of [String(LIMIT_S), '0']) {
    const own = join(home.path, limit);
    mkdirSync(own);
    const args = ['serve', '--device', device, '--port', '0', '-m', TINY_MODEL, '--max-silent', limit];
    servers.set(limit, await cliServer(args, { home: own }));
  }
});
afterAll(async () => {
  for (const server of servers.values()) await server[Symbol.asyncDispose]();
  home[Symbol.dispose]();
});

const ask = (limit: string, path: string, body: object, signal: AbortSignal | null = null) =>
  fetch(`${servers.get(limit)?.url}/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      ...(path === 'completions' ? { prompt: 'Once upon a time' } : {}),
      temperature: 0,
      ...body,
    }),
    signal,
  });
const messages = [{ role: 'user', content: 'Once upon a time' }];

describe('an answer that is likely to take longer than --max-silent', () => {
  it.each([
    ['completions', { max_tokens: 400 }],
    ['chat/completions', { messages, max_tokens: 400 }],
    ['chat/completions', { messages }],
    ['responses', { input: 'Once upon a time' }],
    ['completions', { max_tokens: 400, ignore_eos: true }],
  ])('is refused before it begins, with what to do: %s', async (path, body) => {
    const answer = await ask(String(LIMIT_S), path, body);
    expect(answer.status).toBe(503);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    // It would take as long the next time.
    expect(answer.headers.get('x-should-retry')).toBe('false');
    const { error } = (await answer.json()) as { error: { code: string; message: string } };
    expect(error.code).toBe('LLM_PREDICTED_LATE');
    expect(error.message).toMatch(/likely to take [\d.]+ s.*may take 5 s.*Stream/s);
  });

  it('is refused where several prompts together would take longer', async () => {
    const prompt = Array(4).fill('The dog ran. '.repeat(120));
    const answer = await ask(String(LIMIT_S), 'completions', {
      max_tokens: 0,
      echo: true,
      logprobs: 0,
      prompt,
    });
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ error: { code: 'LLM_PREDICTED_LATE' } });
  });

  it('is refused for good where the others before it are of the same request', async () => {
    const promptOf = (i: number) => `${i} ${'The dog ran. '.repeat(40)}`;
    const body = { max_tokens: 2, ignore_eos: true };
    // Alone it is short, once those of other requests are gone.
    await vi.waitFor(
      async () => {
        const { status } = await ask(String(LIMIT_S), 'completions', { ...body, prompt: promptOf(0) });
        expect(status).toBe(200);
      },
      { timeout: 20_000, interval: 500 },
    );
    const prompt = Array.from({ length: 16 }, (_, i) => promptOf(i + 1));
    const all = await ask(String(LIMIT_S), 'completions', { ...body, prompt });
    expect(await all.json()).toMatchObject({ error: { code: 'LLM_PREDICTED_LATE' } });
    expect([all.status, all.headers.get('x-should-retry')]).toEqual([503, 'false']);
  });

  it('is given where it is streamed, or short', async () => {
    const away = new AbortController();
    const stream = await ask(String(LIMIT_S), 'completions', { max_tokens: 400, stream: true }, away.signal);
    expect(stream.status).toBe(200);
    const first = await stream.body!.getReader().read();
    expect(Buffer.from(first.value!).toString()).toMatch(/^data: \{/);
    away.abort();
    // Until the server knows that nobody reads the stream any more, it stands before others.
    const short = await vi.waitFor(
      async () => {
        const answer = await ask(String(LIMIT_S), 'completions', { max_tokens: 2 });
        expect(answer.status).toBe(200);
        return answer;
      },
      { timeout: 20_000, interval: 500 },
    );
    expect(await short.json()).toMatchObject({ usage: { completion_tokens: 2 } });
  });

  it('is refused because of those before it, and worth asking for again', async () => {
    const away = new AbortController();
    const body = { max_tokens: 400, stream: true, ignore_eos: true };
    const others = await Promise.all(
      Array.from({ length: 8 }, () => ask(String(LIMIT_S), 'completions', body, away.signal)),
    );
    expect(others.map(({ status }) => status)).toEqual(Array(8).fill(200));
    const late = await ask(String(LIMIT_S), 'completions', { max_tokens: 2 });
    expect([late.status, late.headers.get('x-should-retry')]).toEqual([503, null]);
    expect(Number(late.headers.get('retry-after'))).toBeGreaterThan(5);
    away.abort();
  });

  it('is given where there is no such limit', async () => {
    const away = new AbortController();
    const answer = ask('0', 'completions', { max_tokens: 400 }, away.signal);
    const metrics = servers.get('0')?.url.replace(/v1$/, 'metrics') ?? '';
    await expect
      .poll(async () => (await fetch(metrics)).text(), { timeout: 20_000 })
      .toMatch(/^pynq_llm_generations 1$/m);
    away.abort();
    await expect(answer).rejects.toThrow();
  });
});
