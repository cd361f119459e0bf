import { APIUserAbortError, BadRequestError } from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { modelWithChatTemplate } from '../support/chat-model.js';
import { CHAT, type HttpAgent, PROMPT, TINY, TOKENS } from '../support/http-agent.js';

/** What clients of the OpenAI API rely on, whatever answers behind it. */
export function httpChatSuite(start: () => Promise<HttpAgent>): void {
  let http: HttpAgent;
  beforeAll(async () => {
    http = await start();
  });
  afterAll(() => http?.[Symbol.asyncDispose]());

  describe('chat completions', () => {
    const request = {
      model: CHAT,
      messages: [{ role: 'user' as const, content: PROMPT }],
      temperature: 0,
      max_completion_tokens: 12,
    };

    it('answer through the model’s chat template, streamed and not', async () => {
      const answer = await http.openai.chat.completions.create(request);
      const text = await http.expected(12, `${PROMPT} `);
      expect(answer.choices[0]!.message).toMatchObject({ role: 'assistant', content: text });
      const runner = http.openai.chat.completions.stream({ ...request });
      expect(await runner.finalContent()).toBe(text);
    });

    it('refuse a prompt that is too long by their status, streamed too', async () => {
      const long = [{ role: 'user' as const, content: `${PROMPT} `.repeat(400) }];
      for (const stream of [false, true])
        await expect(
          http.openai.chat.completions.create({ ...request, messages: long, stream }),
          `stream: ${stream}`,
        ).rejects.toMatchObject({ status: 400, code: 'LLM_PROMPT_TOO_LONG' });
    });

    it('report log-probabilities', async () => {
      const answer = await http.openai.chat.completions.create({
        ...request,
        logprobs: true,
        top_logprobs: 3,
      });
      const content = answer.choices[0]!.logprobs!.content!;
      expect(content.map(({ token }) => token).join('')).toBe(answer.choices[0]!.message.content);
      expect(content[0]!.top_logprobs).toHaveLength(3);
    });

    it('of a model without a template continue what was said, and say so', async () => {
      const { data, response } = await http.openai.chat.completions
        .create({
          ...request,
          model: TINY,
          max_completion_tokens: 12,
          messages: [{ role: 'user', content: PROMPT }],
        })
        .withResponse();
      expect(data.choices[0]!.message.content).toBe(await http.expected(12));
      expect(response.headers.get('x-pynq-llm-chat-template')).toBe('none');
    });

    it('with a wrong value end in OpenAI’s 400', async () => {
      await expect(http.openai.chat.completions.create({ ...request, messages: [] })).rejects.toThrow(
        BadRequestError,
      );
      const wrong = http.openai.chat.completions.create({ ...request, temperature: 3 });
      await expect(wrong).rejects.toMatchObject({ status: 400, param: 'temperature' });
    });

    it('with a JSON schema are documents that satisfy it', async () => {
      const schema = {
        type: 'object',
        properties: { name: { enum: ['Lily', 'Tim'] }, age: { type: 'integer', minimum: 1, maximum: 9 } },
        required: ['name', 'age'],
        additionalProperties: false,
      };
      const answer = await http.openai.chat.completions.create({
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
      const object = await http.openai.chat.completions.create({
        ...request,
        response_format: { type: 'json_object' },
      });
      expect(object.choices[0]!.message.content).toMatch(/^\s?\{/);
      const refused = http.openai.chat.completions.create({
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
      const answer = await http.openai.chat.completions.parse({
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
      const refused = await fetch(`${http.url}/v1/chat/completions`, { method: 'POST', headers, body });
      expect(refused.status).toBe(400);
      expect(await refused.json()).toMatchObject({ error: { code: 'request_too_complex' } });
    });

    it('that the client aborts are cancelled on the board', async () => {
      const cancelled = async () => (await http.board.metrics()).classes.interactive.cancelled;
      const before = await cancelled();
      const abort = new AbortController();
      const stream = await http.openai.chat.completions.create(
        { ...request, max_completion_tokens: 400, stream: true, seed: 1 },
        { signal: abort.signal },
      );
      let chunks = 0;
      const reading = (async () => {
        for await (const _ of stream) if (++chunks === 3) abort.abort();
      })();
      await reading.catch((error: unknown) => expect(error).toBeInstanceOf(APIUserAbortError));
      await expect.poll(cancelled).toBe(before + 1);
      await expect.poll(async () => (await http.board.health()).generations).toBe(0);
      expect(chunks).toBeLessThan(100);
    });
  });

  describe('functions', () => {
    const tools = [
      {
        type: 'function' as const,
        function: {
          name: 'find_child',
          description: 'Finds a child',
          parameters: {
            type: 'object',
            properties: { name: { enum: ['Lily', 'Tim'] }, age: { type: 'integer', minimum: 1, maximum: 9 } },
            required: ['name', 'age'],
            additionalProperties: false,
          },
        },
      },
      {
        type: 'function' as const,
        function: { name: 'wait', parameters: { type: 'object', maxProperties: 0 } },
      },
    ];
    const request = {
      model: CHAT,
      messages: [{ role: 'user' as const, content: PROMPT }],
      temperature: 0,
      max_completion_tokens: 80,
      tools,
    };
    const named = { type: 'function' as const, function: { name: 'find_child' } };

    it('that have to be called are, with arguments of their schema, streamed and not', async () => {
      const answer = await http.openai.chat.completions.create({ ...request, tool_choice: named });
      const [{ message, finish_reason: reason }] = answer.choices;
      expect(reason).toBe('tool_calls');
      expect(message.content).toBeNull();
      const [call] = message.tool_calls!;
      if (call.type !== 'function') throw new Error('it calls a function');
      expect(call.function.name).toBe('find_child');
      expect(['Lily', 'Tim']).toContain(JSON.parse(call.function.arguments).name);

      const runner = http.openai.chat.completions.stream({ ...request, tool_choice: named });
      let deltas = 0;
      runner.on('tool_calls.function.arguments.delta', () => deltas++);
      const streamed = await runner.finalMessage();
      expect(streamed.tool_calls).toMatchObject([{ type: 'function', function: call.function }]);
      expect(deltas).toBeGreaterThan(1);

      const required = await http.openai.chat.completions.create({ ...request, tool_choice: 'required' });
      expect(['find_child', 'wait']).toContain(
        required.choices[0].message.tool_calls?.map((one) => one.type === 'function' && one.function.name)[0],
      );
    });

    it('that may be called leave a text as it is, and their results go on', async () => {
      const answer = await http.openai.chat.completions.create({
        ...request,
        messages: [
          ...request.messages,
          {
            role: 'assistant',
            content: null,
            tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'wait', arguments: '{}' } }],
          },
          { role: 'tool', tool_call_id: 'call_1', content: 'Waited.' },
          { role: 'developer', content: 'Tell a story.' },
        ],
      });
      expect(answer.choices[0].message.content).toMatch(/\w/);
      expect(answer.choices[0].message.tool_calls).toBeUndefined();
      expect(answer.usage!.prompt_tokens).toBeGreaterThan(50);
    });
  });

  describe('how much a model is to think', () => {
    it('reaches templates that have a variable for it', async () => {
      await http.board.models.store(
        modelWithChatTemplate(
          '{{ reasoning_effort }}{{ enable_thinking }}{% for message in messages %}{{ message.content }}{% endfor %}',
        ),
        { name: 'thinking.gguf' },
      );
      const lengthOf = async (more: object) => {
        const answer = await fetch(`${http.url}/v1/chat/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKENS.infer}` },
          body: JSON.stringify({
            model: 'thinking.gguf',
            messages: [{ role: 'user', content: 'Hi' }],
            max_tokens: 1,
            ...more,
          }),
        });
        return ((await answer.json()) as { usage: { prompt_tokens: number } }).usage.prompt_tokens;
      };
      const lengths = [{}, { reasoning_effort: 'minimal' }, { reasoning_effort: 'none' }].map(lengthOf);
      const [without, minimal, none] = await Promise.all(lengths);
      expect(minimal).toBeGreaterThan(without);
      expect(none).toBeGreaterThan(without);
      expect(await lengthOf({ chat_template_kwargs: { reasoning_effort: 'minimal' } })).toBe(minimal);
    });
  });

  describe('requests that would be answered otherwise than they ask', () => {
    const chat = { model: CHAT, messages: [{ role: 'user', content: 'Hi' }], max_tokens: 1 };
    const text = { model: TINY, prompt: 'Hi', max_tokens: 1 };
    const image = [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:' } }] }];
    const tool = { type: 'function', function: { name: 'f' } };
    const badCall = [
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '[]' } }],
      },
    ];

    it.each([
      ['chat/completions', { ...chat, tools: [{ type: 'retrieval' }] }, 'tools.0.type', 'only functions'],
      ['chat/completions', { ...chat, tools: [tool, tool] }, null, 'Two functions are called f'],
      ['chat/completions', { ...chat, model: TINY, tools: [tool] }, 'tools', 'no chat template'],
      ['chat/completions', { ...chat, functions: [tool.function] }, 'functions', 'given as tools'],
      ['chat/completions', { ...chat, tool_choice: 'required' }, 'tool_choice', 'tools has none such'],
      ['chat/completions', { ...chat, messages: badCall }, null, 'no JSON object'],
      ['chat/completions', { ...chat, template_date: 'today' }, 'template_date', 'date'],
      ['chat/completions', { ...chat, modalities: ['text', 'audio'] }, 'modalities.1', 'only text'],
      ['chat/completions', { ...chat, messages: image }, 'messages.0.content.0.type', 'only text parts'],
      ['chat/completions', { ...chat, top_logprobs: 2 }, 'top_logprobs', 'needs logprobs'],
      ['chat/completions', { ...chat, logprobs: true, beam_width: 2 }, 'logprobs', 'beam search'],
      ['completions', { ...text, logprobs: 0, beam_width: 2 }, 'logprobs', 'beam search'],
      ['completions', { ...text, prompt: Array(16).fill('Hi'), n: 16 }, 'n', 'at most 64'],
      ['completions', { ...text, prompt: 'Hi', suffix: 'there' }, 'suffix', 'not supported'],
      ['chat/completions', { ...chat, logit_bias: { 100000: 1 } }, null, 'from 0 to 2303'],
      ['chat/completions', { ...chat, best_of: 2 }, 'best_of', 'not supported'],
      ['completions', { ...text, best_of: 1, n: 2 }, 'best_of', 'at least n'],
      ['completions', { ...text, messages: chat.messages }, 'messages', 'not supported'],
      ['completions', { ...text, stop: Array(17).fill('x') }, 'stop', '16'],
    ])('are refused by name: %s %j', async (path, body, param, message) => {
      const answer = await fetch(`${http.url}/v1/${path}`, {
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
      { reasoning_effort: 'low', verbosity: 'medium', prediction: { type: 'content', content: 'x' } },
      { logit_bias: [], best_of: 1, n: 1, store: false, metadata: { a: 'b' } },
      { stream_options: null, prompt_cache_key: 'k', return_progress: true },
      { seed: Number.MAX_SAFE_INTEGER, n: 2 },
    ])('do not include %j', async (more) => {
      const answer = await fetch(`${http.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKENS.infer}` },
        body: JSON.stringify({ ...chat, ...more }),
      });
      expect(await answer.json()).toMatchObject({ object: 'chat.completion' });
    });
  });
}
