import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI, {
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  NotFoundError,
  PermissionDeniedError,
} from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { type HttpApi, type HttpApiOptions, serveHttpApi } from '../../http-api/index.js';
import { type BoardClient, connect } from '../../sdk/index.js';
import { TINY_MODEL, temporaryDirectory } from './support/agent.js';
import { modelWithChatTemplate } from './support/chat-model.js';
import { type AgentProcess, cliAgent } from './support/cli.js';

const TINY = 'tiny-stories-Q3_K_M.gguf';
const CHAT = 'chat.gguf';
const TEMPLATE = '{% for message in messages %}{{ message.content }} {% endfor %}';
const PROMPT = 'Once upon a time';

const store = temporaryDirectory();
let board: BoardClient;
/** The agent's port serves the API beside WebSockets. */
let agent: AgentProcess;
let url: string;
let openai: OpenAI;

const TOKENS = {
  read: 'the-token-of-who-may-look',
  infer: 'the-token-of-who-may-generate',
  admin: 'the-token-of-the-administrator',
};

beforeAll(async () => {
  const file = join(store.path, 'tokens');
  const lines = Object.entries(TOKENS).map(([role, token]) => `${role} ${token}\n`);
  writeFileSync(file, lines.join(''), { mode: 0o600 });
  agent = await cliAgent(store.path, 'mock:', ['--token-file', file]);
  url = agent.url.replace(/^ws/, 'http');
  board = await connect(agent.url, { token: TOKENS.admin });
  await board.models.store(TINY_MODEL);
  await board.models.store(modelWithChatTemplate(TEMPLATE), { name: CHAT });
  openai = clientOf(TOKENS.infer);
  await vi.waitFor(async () => expect((await fetch(`${url}/health`)).status).toBe(200), 10_000);
});

afterAll(async () => {
  await board.close();
  await agent[Symbol.asyncDispose]();
  store[Symbol.dispose]();
});

/** The board behind a server of its own, as `pynq-llm serve` does it. */
async function servedBoard(options: Omit<HttpApiOptions, 'open' | 'port'>): Promise<HttpApi> {
  const open = () => connect(agent.url, { token: TOKENS.admin });
  const api = await serveHttpApi({ ...options, open, port: 0 });
  await api.open();
  return api;
}

function clientOf(apiKey: string, base = url): OpenAI {
  return new OpenAI({ baseURL: `${base}/v1`, apiKey, maxRetries: 0 });
}

/** What the SDK generates greedily, to compare with. */
async function expected(maxTokens: number, prompt = PROMPT): Promise<string> {
  const model = await board.models.load(TINY);
  return model.generate(prompt, { maxTokens, temperature: 0, topK: 0, topP: 1, minP: 0 }).text();
}

describe('models', () => {
  it('are listed by name', async () => {
    const ids = (await openai.models.list()).data.map(({ id }) => id);
    expect(ids.toSorted()).toEqual([CHAT, TINY]);
    expect((await openai.models.retrieve(TINY)).object).toBe('model');
  });

  it('that the board does not have end in OpenAI’s 404', async () => {
    const request = openai.completions.create({ model: 'gpt-4', prompt: PROMPT });
    await expect(request).rejects.toThrow(NotFoundError);
    await expect(request).rejects.toMatchObject({ code: 'model_not_found', param: 'model' });
    await expect(openai.models.retrieve('gpt-4')).rejects.toThrow(NotFoundError);
  });
});

describe('completions', () => {
  const request = { model: TINY, prompt: PROMPT, temperature: 0, max_tokens: 12 } as const;

  it('give the text that the SDK gives, and count tokens', async () => {
    const answer = await openai.completions.create(request);
    expect(answer.choices[0]!.text).toBe(await expected(12));
    expect(answer.choices[0]!.finish_reason).toBe('length');
    expect(answer.usage!.completion_tokens).toBe(12);
    expect(answer.usage!.total_tokens).toBe(answer.usage!.prompt_tokens + 12);
  });

  it('stream the same text', async () => {
    const stream = await openai.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let finish: string | null = null;
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.text ?? '';
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe(await expected(12));
    expect(finish).toBe('length');
    expect(usage!.completion_tokens).toBe(12);
  });

  it('of a client that goes away are cancelled, answered whole as well as streamed', async () => {
    const cancelled = async () => (await board.metrics()).classes.interactive.cancelled;
    const before = await cancelled();
    const gone = new AbortController();
    const long = { ...request, prompt: 'Long ago', max_tokens: 480, ignore_eos: true };
    const whole = openai.completions.create(long, { signal: gone.signal });
    await vi.waitFor(async () => expect((await board.health()).generations).toBeGreaterThan(0), 5_000);
    gone.abort();
    await expect(whole).rejects.toThrow(APIUserAbortError);
    await vi.waitFor(async () => expect(await cancelled()).toBe(before + 1), 5_000);
  });

  it('take token ids, and several prompts at once', async () => {
    const model = await board.models.load(TINY);
    const tokens = await model.tokenize(PROMPT);
    const other = 'The cat';
    const [byTokens, several] = await Promise.all([
      openai.completions.create({ ...request, prompt: tokens }),
      openai.completions.create({ ...request, prompt: [PROMPT, other] }),
    ]);
    expect(byTokens.choices[0]!.text).toBe(await expected(12));
    expect(several.choices.map(({ text }) => text)).toEqual([await expected(12), await expected(12, other)]);
  });

  it('with beams give the likeliest ones, which only whole answers can', async () => {
    const beams = { ...request, beam_width: 4, length_penalty: 0, n: 2, ignore_eos: true };
    const answer = await openai.completions.create(beams);
    expect(answer.choices).toHaveLength(2);
    const model = await board.models.load(TINY);
    const prompt = await model.tokenize(PROMPT);
    const logProbs = answer.choices.map(async ({ text }) => {
      const { logprobs } = await model.score(
        [...prompt, ...(await model.tokenize(text, { addSpecial: false }))],
        {
          from: prompt.length,
        },
      );
      return logprobs.reduce<number>((sum, one) => sum + (one ?? 0), 0);
    });
    const [first, second] = await Promise.all(logProbs);
    expect(first).toBeGreaterThanOrEqual(second!);
    expect(answer.usage!.completion_tokens).toBe(24);
    await expect(openai.completions.create({ ...beams, n: 5 })).rejects.toMatchObject({
      status: 400,
      param: 'n',
    });
    const streamed = openai.completions.create({ ...beams, stream: true });
    await expect(streamed).rejects.toMatchObject({ status: 400, param: 'stream' });
  });

  it('end before a stop string', async () => {
    const whole = await expected(24);
    const stop = whole.slice(10, 14);
    const answer = await openai.completions.create({ ...request, max_tokens: 24, stop });
    expect(answer.choices[0]!.text).toBe(whole.slice(0, whole.indexOf(stop)));
    expect(answer.choices[0]!.finish_reason).toBe('stop');
  });

  it('with n give several answers, the same for the same seed', async () => {
    const sampled = { ...request, temperature: 1, n: 3, seed: 7 };
    const first = await openai.completions.create(sampled);
    const again = await openai.completions.create(sampled);
    const texts = first.choices.map(({ text }) => text);
    expect(new Set(texts).size).toBe(3);
    expect(again.choices.map(({ text }) => text)).toEqual(texts);
    expect(first.usage!.completion_tokens).toBe(36);
  });

  it('with best_of give the likeliest of those drawn', async () => {
    const sampled = { ...request, temperature: 1, seed: 7, logprobs: 0 };
    const all = await openai.completions.create({ ...sampled, n: 4 });
    const meanOf = (choice: OpenAI.CompletionChoice) => {
      const values = choice.logprobs!.token_logprobs!;
      return values.reduce((sum, value) => sum + value, 0) / values.length;
    };
    const best = all.choices.toSorted((a, b) => meanOf(b) - meanOf(a)).slice(0, 2);
    const answer = await openai.completions.create({ ...sampled, n: 2, best_of: 4 });
    expect(answer.choices.map(({ text }) => text)).toEqual(best.map(({ text }) => text));
    expect(answer.usage!.completion_tokens).toBe(48);
    const streamed = openai.completions.create({ ...sampled, best_of: 2, stream: true });
    await expect(streamed).rejects.toMatchObject({ status: 400, param: 'best_of' });
  });

  it('with echo give the prompt too, scored as the SDK scores it, whole and streamed', async () => {
    const model = await board.models.load(TINY);
    const ids = (await model.tokenize('Once upon a time there')).slice(1);
    const echoed = { ...request, prompt: ids, max_tokens: 1, echo: true, logprobs: 1, n: 2 };
    const answer = await openai.completions.create(echoed);
    const scored = await model.score(ids, { top: 1 });
    for (const { text, logprobs } of answer.choices) {
      expect(text).toMatch(/^Once upon a time there./);
      expect(logprobs!.tokens!.join('')).toBe(text);
      expect(logprobs!.token_logprobs!.slice(0, -1)).toEqual(scored.logprobs);
      expect(logprobs!.top_logprobs![0]).toBeNull();
      expect(Object.values(logprobs!.top_logprobs![1]!)).toEqual([scored.top[0]![0]![1]]);
      expect(logprobs!.text_offset!.map((at, i) => text.startsWith(logprobs!.tokens![i]!, at))).not.toContain(
        false,
      );
    }
    let text = '';
    const tokens: string[] = [];
    const offsets: number[] = [];
    for await (const chunk of await openai.completions.create({ ...echoed, n: 1, stream: true })) {
      text += chunk.choices[0]!.text;
      tokens.push(...(chunk.choices[0]!.logprobs?.tokens ?? []));
      offsets.push(...(chunk.choices[0]!.logprobs?.text_offset ?? []));
    }
    expect(text).toBe(answer.choices[0]!.text);
    expect({ tokens, offsets }).toEqual({
      tokens: answer.choices[0]!.logprobs!.tokens,
      offsets: answer.choices[0]!.logprobs!.text_offset,
    });
    const ofText = await openai.completions.create({ ...request, echo: true, logprobs: 0 });
    const { logprobs } = ofText.choices[0]!;
    expect(ofText.choices[0]!.text).toBe(PROMPT + (await expected(12)));
    expect(logprobs!.tokens!.join('')).toBe(ofText.choices[0]!.text);
    expect(logprobs!.token_logprobs![0]).toBeLessThan(0);
  });

  it('tell the bytes of tokens that are only parts of characters', async () => {
    const bias = (id: number) => ({ logit_bias: { [id]: 100 }, max_tokens: 2, logprobs: 1 });
    // The model's byte tokens are at 2048 + byte; these two are one character.
    const model = await board.models.load(TINY);
    const [first] = await model.pieces([2048 + 0xc3]);
    expect([...first!]).toEqual([0xc3]);
    const answer = await openai.completions.create({ ...request, ...bias(2048 + 0xc3) });
    const { tokens, top_logprobs } = answer.choices[0]!.logprobs!;
    expect(tokens).toEqual(['bytes:\\xc3', 'bytes:\\xc3']);
    expect(Object.keys(top_logprobs![0]!)[0]).not.toContain('\ufffd');
    const chat = await openai.chat.completions.create({
      model: CHAT,
      messages: [{ role: 'user', content: PROMPT }],
      temperature: 0,
      ...bias(2048 + 0xc3),
      logprobs: true,
    });
    expect(chat.choices[0]!.logprobs!.content![0]).toMatchObject({ token: '\\xc3', bytes: [0xc3] });
  });

  it('count the texts’ offsets in each answer by itself', async () => {
    const several = { ...request, prompt: [PROMPT, 'The cat'], n: 2, temperature: 1, logprobs: 0, seed: 4 };
    const offsetsOf = (parts: readonly string[]) =>
      parts.map((_, i) => parts.slice(0, i).reduce((sum, { length }) => sum + length, 0));
    const whole = await openai.completions.create(several);
    for (const { logprobs } of whole.choices)
      expect(logprobs!.text_offset).toEqual(offsetsOf(logprobs!.tokens!));
    const streamed = whole.choices.map(() => [] as number[]);
    for await (const { choices } of await openai.completions.create({ ...several, stream: true }))
      for (const { index, logprobs } of choices) streamed[index]!.push(...(logprobs?.text_offset ?? []));
    expect(streamed).toEqual(whole.choices.map(({ logprobs }) => logprobs!.text_offset));
  });

  it('report log-probabilities that the tokens’ texts go with', async () => {
    const answer = await openai.completions.create({ ...request, max_tokens: 80, logprobs: 2 });
    const { tokens, token_logprobs, top_logprobs } = answer.choices[0]!.logprobs!;
    expect(tokens!.join('')).toBe(answer.choices[0]!.text);
    expect(token_logprobs!.every((value) => value < 0)).toBe(true);
    expect(Object.keys(top_logprobs![0]!)).toHaveLength(2);
    expect(Math.max(...Object.values(top_logprobs![0]!))).toBeCloseTo(token_logprobs![0]!, 5);
  });
});

describe('requests that would be answered otherwise than they ask', () => {
  const chat = { model: CHAT, messages: [{ role: 'user', content: 'Hi' }], max_tokens: 1 };
  const text = { model: TINY, prompt: 'Hi', max_tokens: 1 };
  const image = [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:' } }] }];
  const tool = { type: 'function', function: { name: 'f' } };

  it.each([
    ['chat/completions', { ...chat, tools: [tool] }, 'tools', 'tools are not supported'],
    ['chat/completions', { ...chat, functions: [tool.function] }, 'functions', 'tools are not supported'],
    ['chat/completions', { ...chat, tool_choice: 'required' }, 'tool_choice', 'not supported'],
    ['chat/completions', { ...chat, modalities: ['text', 'audio'] }, 'modalities.1', 'only text'],
    ['chat/completions', { ...chat, messages: image }, 'messages.0.content.0.type', 'only text parts'],
    ['chat/completions', { ...chat, top_logprobs: 2 }, 'top_logprobs', 'needs logprobs'],
    ['chat/completions', { ...chat, logprobs: true, beam_width: 2 }, 'logprobs', 'beam search'],
    ['completions', { ...text, logprobs: 0, beam_width: 2 }, 'logprobs', 'beam search'],
    ['completions', { ...text, prompt: Array(16).fill('Hi'), n: 16 }, 'n', 'at most 64'],
    ['completions', { ...text, prompt: 'Hi', suffix: 'there' }, 'suffix', 'not supported'],
    ['completions', { ...text, stop: Array(17).fill('x') }, 'stop', '16'],
  ])('are refused by name: %s %j', async (path, body, param, message) => {
    const answer = await fetch(`${url}/v1/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKENS.infer}` },
      body: JSON.stringify(body),
    });
    const { error } = (await answer.json()) as { error: { param: string; message: string } };
    expect([answer.status, error.param]).toEqual([400, param]);
    expect(error.message).toContain(message);
  });

  it.each([
    {
      messages: [
        { role: 'user', content: 'Hi' },
        { role: 'assistant', content: null },
      ],
      tool_choice: 'none',
    },
    { messages: [{ role: 'assistant', content: [{ type: 'refusal', refusal: 'No.' }] }], functions: null },
    { stream_options: { include_usage: null }, modalities: ['text'], tools: [], audio: null },
    { seed: -5, n: 2 },
    { seed: Number.MAX_SAFE_INTEGER, n: 2 },
  ])('do not include %j', async (more) => {
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKENS.infer}` },
      body: JSON.stringify({ ...chat, ...more }),
    });
    expect(await answer.json()).toMatchObject({ object: 'chat.completion' });
  });
});

describe('chat completions', () => {
  const request = {
    model: CHAT,
    messages: [{ role: 'user' as const, content: PROMPT }],
    temperature: 0,
    max_completion_tokens: 12,
  };

  it('answer through the model’s chat template, streamed and not', async () => {
    const answer = await openai.chat.completions.create(request);
    const text = await expected(12, `${PROMPT} `);
    expect(answer.choices[0]!.message).toMatchObject({ role: 'assistant', content: text });
    const runner = openai.chat.completions.stream({ ...request });
    expect(await runner.finalContent()).toBe(text);
  });

  it('report log-probabilities', async () => {
    const answer = await openai.chat.completions.create({ ...request, logprobs: true, top_logprobs: 3 });
    const content = answer.choices[0]!.logprobs!.content!;
    expect(content.map(({ token }) => token).join('')).toBe(answer.choices[0]!.message.content);
    expect(content[0]!.top_logprobs).toHaveLength(3);
  });

  it('of a model without a template continue what was said, and say so', async () => {
    const { data, response } = await openai.chat.completions
      .create({
        ...request,
        model: TINY,
        max_completion_tokens: 12,
        messages: [{ role: 'user', content: PROMPT }],
      })
      .withResponse();
    expect(data.choices[0]!.message.content).toBe(await expected(12));
    expect(response.headers.get('x-pynq-llm-chat-template')).toBe('none');
  });

  it('with a wrong value end in OpenAI’s 400', async () => {
    await expect(openai.chat.completions.create({ ...request, messages: [] })).rejects.toThrow(
      BadRequestError,
    );
    const wrong = openai.chat.completions.create({ ...request, temperature: 3 });
    await expect(wrong).rejects.toMatchObject({ status: 400, param: 'temperature' });
    const tools = openai.chat.completions.create({
      ...request,
      tools: [{ type: 'function', function: { name: 'f' } }],
    });
    await expect(tools).rejects.toThrow(/tools are not supported/);
  });

  it('with a JSON schema are documents that satisfy it', async () => {
    const schema = {
      type: 'object',
      properties: { name: { enum: ['Lily', 'Tim'] }, age: { type: 'integer', minimum: 1, maximum: 9 } },
      required: ['name', 'age'],
      additionalProperties: false,
    };
    const answer = await openai.chat.completions.create({
      ...request,
      max_completion_tokens: 60,
      response_format: { type: 'json_schema', json_schema: { name: 'child', strict: true, schema } },
    });
    const { name, age } = JSON.parse(answer.choices[0]!.message.content!);
    expect(schema.properties.name.enum).toContain(name);
    expect(age).toBeOneOf([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(answer.choices[0]!.finish_reason).toBe('stop');
  });

  it('of a JSON object begin like one; a schema that cannot be kept to is refused by name', async () => {
    const object = await openai.chat.completions.create({
      ...request,
      response_format: { type: 'json_object' },
    });
    expect(object.choices[0]!.message.content).toMatch(/^\s?\{/);
    const refused = openai.chat.completions.create({
      ...request,
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'list', schema: { type: 'array', uniqueItems: true } },
      },
    });
    await expect(refused).rejects.toMatchObject({ status: 400, code: 'LLM_SCHEMA_UNSUPPORTED' });
    await expect(refused).rejects.toThrow(/uniqueItems/);
  });

  it('satisfy a type of zod’s, as the client’s own helper asks for it', async () => {
    const type = z.object({
      kind: z.enum(['wolf', 'bear']),
      born: z.iso.date(),
      about: z.discriminatedUnion('by', [
        z.object({ by: z.literal('age'), age: z.int().min(1).max(9) }),
        z.object({ by: z.literal('id'), id: z.uuid() }),
      ]),
    });
    const answer = await openai.chat.completions.parse({
      ...request,
      max_completion_tokens: 200,
      response_format: zodResponseFormat(type, 'animal'),
    });
    expect(type.safeParse(answer.choices[0]!.message.parsed).success).toBe(true);
  });

  it.each([2_000, 5_000, 20_000])('of a schema nested %i deep are refused by a code', async (levels) => {
    const schema = `${'{"items":'.repeat(levels)}{}${'}'.repeat(levels)}`;
    const format = `{"type":"json_schema","json_schema":{"name":"deep","schema":${schema}}}`;
    const body = `${JSON.stringify(request).slice(0, -1)},"response_format":${format}}`;
    const headers = { authorization: `Bearer ${TOKENS.infer}`, 'content-type': 'application/json' };
    const refused = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body });
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({ error: { code: 'LLM_SCHEMA_TOO_LARGE' } });
  });

  it('that the client aborts are cancelled on the board', async () => {
    const abort = new AbortController();
    const stream = await openai.chat.completions.create(
      { ...request, max_completion_tokens: 400, stream: true, seed: 1 },
      { signal: abort.signal },
    );
    let chunks = 0;
    const reading = (async () => {
      for await (const _ of stream) if (++chunks === 3) abort.abort();
    })();
    await reading.catch((error: unknown) => expect(error).toBeInstanceOf(APIUserAbortError));
    await expect.poll(async () => (await board.health()).generations, { timeout: 5_000 }).toBe(0);
    expect(chunks).toBeLessThan(100);
  });
});

describe('the server', () => {
  it('says that it is healthy, and counts what it did', async () => {
    expect((await fetch(`${url}/health`)).status).toBe(200);
    const headers = { authorization: `Bearer ${TOKENS.read}` };
    const metrics = await (await fetch(`${url}/metrics`, { headers })).text();
    expect(metrics).toMatch(/^pynq_llm_generated_tokens_total [1-9]\d*$/m);
    expect(metrics).toMatch(/^pynq_llm_requests_total\{route="\/v1\/completions",status="200"\} [1-9]/m);
    expect(metrics).toMatch(/^pynq_llm_kv_pages\{model="[0-9a-f]{64}",state="free"\} [1-9]/m);
    expect(metrics).toMatch(/^pynq_llm_time_to_first_token_seconds_count\{class="interactive"\} [1-9]/m);
  });

  it('answers embeddings, unknown routes, broken JSON and large bodies with errors in OpenAI’s form', async () => {
    const embeddings = openai.embeddings.create({ model: TINY, input: 'x' });
    await expect(embeddings).rejects.toThrow(/has no embeddings/);
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${TOKENS.infer}` };
    const post = (path: string, body: string) => fetch(`${url}${path}`, { method: 'POST', body, headers });
    for (const [response, status, code] of [
      [await post('/v1/nothing', '{}'), 404, 'not_found'],
      [await post('/v1/completions', '{'), 400, 'invalid_json'],
      [await post('/v1/completions', `"${'x'.repeat(5_000_000)}"`), 413, 'request_too_large'],
    ] as const) {
      expect(response.status).toBe(status);
      expect(await response.json()).toMatchObject({ error: { code } });
    }
  });

  it('refuses web pages that are not listed', async () => {
    const page = await fetch(`${url}/v1/models`, { headers: { origin: 'https://example.com' } });
    expect(page.status).toBe(403);
  });

  it('answers listed web pages as browsers want it: before a request, with it and with its errors', async () => {
    const origin = 'https://page.example';
    const apiKey = 'a-key-that-is-long-enough';
    await using api = await servedBoard({ apiKey, origins: [origin] });
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
    await expect(clientOf('no-token-at-all').models.list()).rejects.toThrow(AuthenticationError);
    const reader = clientOf(TOKENS.read);
    expect((await reader.models.list()).data).toHaveLength(2);
    const request = reader.completions.create({ model: TINY, prompt: PROMPT, max_tokens: 1 });
    await expect(request).rejects.toThrow(PermissionDeniedError);
    const headers = { authorization: `Bearer ${TOKENS.read}` };
    const head = await fetch(`${url}/v1/models`, { method: 'HEAD', headers });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  it('on a laptop serves a board to who has the key', async () => {
    const apiKey = 'a-key-that-is-long-enough';
    await using locked = await servedBoard({ apiKey });
    await expect(clientOf('wrong', locked.url).models.list()).rejects.toThrow(AuthenticationError);
    expect((await clientOf(apiKey, locked.url).models.list()).data).toHaveLength(2);
    expect((await fetch(`${locked.url}/health`)).status).toBe(200);
  });

  it('does not listen for other machines without a key', async () => {
    await expect(servedBoard({ host: '0.0.0.0' })).rejects.toMatchObject({
      code: 'HTTP_KEY_NEEDED',
    });
  });
});
