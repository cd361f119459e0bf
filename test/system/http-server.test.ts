import { AuthenticationError, PermissionDeniedError } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type HttpAgent, PROMPT, startHttpAgent, TINY, TOKENS } from './support/http-agent.js';

let http: HttpAgent;
beforeAll(async () => {
  http = await startHttpAgent();
});
afterAll(() => http?.[Symbol.asyncDispose]());

describe('the server', () => {
  it('says that it is healthy, and counts what it did', async () => {
    expect((await fetch(`${http.url}/health`)).status).toBe(200);
    await http.openai.completions.create({ model: TINY, prompt: PROMPT, max_tokens: 2 });
    const headers = { authorization: `Bearer ${TOKENS.read}` };
    const metrics = await (await fetch(`${http.url}/metrics`, { headers })).text();
    expect(metrics).toMatch(/^pynq_llm_generated_tokens_total [1-9]\d*$/m);
    expect(metrics).toMatch(/^pynq_llm_requests_total\{route="\/v1\/completions",status="200"\} [1-9]/m);
    expect(metrics).toMatch(/^pynq_llm_kv_pages\{model="[0-9a-f]{64}",state="free"\} [1-9]/m);
    expect(metrics).toMatch(/^pynq_llm_time_to_first_token_seconds_count\{class="interactive"\} [1-9]/m);
  });

  it('answers embeddings, unknown routes, broken JSON and large bodies with errors in OpenAI’s form', async () => {
    const embeddings = http.openai.embeddings.create({ model: TINY, input: 'x' });
    await expect(embeddings).rejects.toThrow(/has no embeddings/);
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${TOKENS.infer}` };
    const post = (path: string, body: string) =>
      fetch(`${http.url}${path}`, { method: 'POST', body, headers });
    for (const [response, status, code] of [
      [await post('/v1/nothing', '{}'), 404, 'not_found'],
      [await post('/v1/completions', '{'), 400, 'invalid_json'],
      [await post('/v1/completions', `"${'x'.repeat(5_000_000)}"`), 413, 'request_too_large'],
    ] as const) {
      expect(response.status).toBe(status);
      expect(await response.json()).toMatchObject({ error: { code } });
    }
  });

  it('says what it is to whoever opens its address', async () => {
    const page = await fetch(http.url);
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('/v1/chat/completions')]);
  });

  it('tokenises in the shapes of llama.cpp’s server', async () => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${TOKENS.infer}` };
    const post = async (path: string, body: object): Promise<Record<string, unknown>> => {
      const answer = await fetch(`${http.url}${path}`, {
        method: 'POST',
        body: JSON.stringify(body),
        headers,
      });
      return (await answer.json()) as Record<string, unknown>;
    };
    const model = await http.board.models.load(TINY);
    const ids = await model.tokenize(PROMPT, { addSpecial: false });
    expect(await post('/tokenize', { model: TINY, content: PROMPT })).toEqual({ tokens: ids });
    expect(await post('/detokenize', { model: TINY, tokens: ids })).toEqual({ content: PROMPT });
    const { tokens } = await post('/tokenize', { model: TINY, content: PROMPT, with_pieces: true });
    const pieces = tokens as { id: number; piece: string }[];
    expect(pieces.map(({ id }) => id)).toEqual(ids);
    expect(
      pieces
        .map(({ piece }) => piece)
        .join('')
        .trim(),
    ).toBe(PROMPT);
    expect(await post('/tokenize', { content: PROMPT })).toMatchObject({ error: { param: 'model' } });
    const props = await fetch(`${http.url}/props?model=${TINY}`, { headers });
    expect(await props.json()).toMatchObject({
      default_generation_settings: { n_ctx: model.info.contextLength },
      total_slots: 1,
    });
  });

  it('writes what was asked and what it took to the agent’s log, and no text', async () => {
    const before = http.agent.log().length;
    const stream = await http.openai.completions.create({
      model: TINY,
      prompt: `${PROMPT} secretly`,
      max_tokens: 5,
      stream: true,
    });
    for await (const _ of stream);
    await expect.poll(() => http.agent.log().slice(before)).toContain('"route":"/v1/completions"');
    const line = http.agent
      .log()
      .slice(before)
      .split('\n')
      .find((text) => text.includes('"answered"') && text.includes('/v1/completions'))!;
    expect(JSON.parse(line)).toMatchObject({
      method: 'POST',
      status: 200,
      model: TINY,
      generatedTokens: 5,
      promptTokens: expect.any(Number),
      aborted: false,
    });
    expect(http.agent.log()).not.toContain('secretly');
  });

  it('lets every web page connect that has a key, and says why not without keys', async () => {
    const apiKey = 'a-key-that-is-long-enough';
    await using api = await http.served({ apiKey, origins: ['*'] });
    const headers = { origin: 'https://anything.example', authorization: `Bearer ${apiKey}` };
    const answer = await fetch(`${api.url}/v1/models`, { headers });
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([200, '*']);
    const without = await fetch(`${api.url}/v1/models`, { headers: { origin: 'https://anything.example' } });
    expect(without.status).toBe(401);
    await expect(http.served({ origins: ['*'] })).rejects.toThrow(/HTTP_KEY_NEEDED.*Every web page/);
  });

  it('refuses web pages that are not listed', async () => {
    const page = await fetch(`${http.url}/v1/models`, { headers: { origin: 'https://example.com' } });
    expect(page.status).toBe(403);
  });

  it('answers listed web pages as browsers want it: before a request, with it and with its errors', async () => {
    const origin = 'https://page.example';
    const apiKey = 'a-key-that-is-long-enough';
    await using api = await http.served({ apiKey, origins: [origin] });
    const preflight = await fetch(`${api.url}/v1/chat/completions`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe(origin);
    expect(preflight.headers.get('access-control-allow-methods')).toContain('POST');
    expect(preflight.headers.get('access-control-allow-headers')).toBe('authorization,content-type');
    const headers = { origin, authorization: `Bearer ${apiKey}` };
    for (const [path, status] of [
      ['/v1/models', 200],
      ['/v1/models/none', 404],
    ] as const) {
      const answer = await fetch(`${api.url}${path}`, { headers });
      expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([status, origin]);
    }
    expect((await fetch(`${api.url}/v1/models`, { headers: { origin } })).status).toBe(401);
    const other = await fetch(`${api.url}/v1/models`, { headers: { ...headers, origin: 'https://other' } });
    expect([other.status, other.headers.get('access-control-allow-origin')]).toEqual([403, null]);
  });

  it('lets in by the tokens of the agent, each to what its role may do', async () => {
    await expect(http.clientOf('no-token-at-all').models.list()).rejects.toThrow(AuthenticationError);
    const reader = http.clientOf(TOKENS.read);
    expect((await reader.models.list()).data).toHaveLength(2);
    const request = reader.completions.create({ model: TINY, prompt: PROMPT, max_tokens: 1 });
    await expect(request).rejects.toThrow(PermissionDeniedError);
    const headers = { authorization: `Bearer ${TOKENS.read}` };
    const head = await fetch(`${http.url}/v1/models`, { method: 'HEAD', headers });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  it('on a laptop serves a board to who has the key', async () => {
    const apiKey = 'a-key-that-is-long-enough';
    await using locked = await http.served({ apiKey });
    await expect(http.clientOf('wrong', locked.url).models.list()).rejects.toThrow(AuthenticationError);
    expect((await http.clientOf(apiKey, locked.url).models.list()).data).toHaveLength(2);
    expect((await fetch(`${locked.url}/health`)).status).toBe(200);
  });

  it('does not listen for other machines without a key', async () => {
    await expect(http.served({ host: '0.0.0.0' })).rejects.toMatchObject({
      code: 'HTTP_KEY_NEEDED',
    });
  });
});
