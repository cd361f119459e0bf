import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { toApiError } from '../../../http-api/api-error.js';
import { chatRequest, completionRequest, embeddingsRequest } from '../../../http-api/schemas.js';
import { MAX_PROMPT_TOKENS } from '../../../protocol/index.js';

const many = (count: number, entry: unknown) => Array.from({ length: count }, () => entry);
const keys = (count: number, name: (i: number) => string, value: unknown) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [name(i), value]));
const said = [{ role: 'user', content: 'x' }];
const chat = (more: object) => ({ model: 'm', messages: said, ...more });
const completion = (more: object) => ({ model: 'm', prompt: 'x', ...more });

/** Issues of a value with those of its forms. */
function issuesOf(issues: readonly z.core.$ZodIssue[]): number {
  return issues.reduce(
    (sum, issue) => sum + 1 + (issue.code === 'invalid_union' ? issuesOf(issue.errors.flat()) : 0),
    0,
  );
}

it.each<[string, z.ZodType, unknown, string]>([
  ['messages', chatRequest, chat({ messages: many(262_000, {}) }), 'messages'],
  ['messages', chatRequest, chat({ messages: many(1_000, {}) }), 'messages.0.role'],
  [
    'parts',
    chatRequest,
    chat({ messages: [{ role: 'u', content: many(262_000, {}) }] }),
    'messages.0.content',
  ],
  [
    'parts',
    chatRequest,
    chat({ messages: many(1_000, { role: 'u', content: many(250, {}) }) }),
    'messages.0.content.0.type',
  ],
  [
    'tool calls',
    chatRequest,
    chat({ messages: [{ ...said[0], tool_calls: many(262_000, {}) }] }),
    'messages.0.tool_calls',
  ],
  ['tools', chatRequest, chat({ tools: many(262_000, {}) }), 'tools'],
  ['functions', chatRequest, chat({ functions: many(262_000, {}) }), 'functions'],
  ['modalities', chatRequest, chat({ modalities: many(262_000, 0) }), 'modalities'],
  ['prompts', completionRequest, completion({ prompt: many(262_000, []) }), 'prompt'],
  ['prompts', completionRequest, completion({ prompt: many(262_000, '') }), 'prompt'],
  ['tokens', completionRequest, completion({ prompt: many(MAX_PROMPT_TOKENS, -1) }), 'prompt.0'],
  ['tokens', completionRequest, completion({ prompt: [many(MAX_PROMPT_TOKENS, -1)] }), 'prompt.0.0'],
  ['biases', completionRequest, completion({ logit_bias: keys(130_000, (i) => `x${i}`, '') }), 'logit_bias'],
  ['biases', completionRequest, completion({ logit_bias: [1] }), 'logit_bias'],
])('wrong %s are told of once, not each', (_, schema, request, param) => {
  const { error } = schema.safeParse(request);
  expect(issuesOf(error?.issues ?? [])).toBeLessThan(20);
  expect(toApiError(error)).toMatchObject({ status: 400, code: 'invalid_value', param });
});

it('what an error quotes of a request is short', () => {
  const long = 'x'.repeat(1_000_000);
  const { error } = completionRequest.safeParse(completion({ logit_bias: { [long]: 1 } }));
  expect(JSON.stringify(toApiError(error).body).length).toBeLessThan(2_000);
});

describe('what is legal stays so:', () => {
  it('a prompt of the longest context as tokens, and two of them in one request', () => {
    const tokens = many(MAX_PROMPT_TOKENS, 7);
    expect(completionRequest.parse(completion({ prompt: tokens })).prompt).toEqual(tokens);
    expect(completionRequest.parse(completion({ prompt: [[1], tokens] })).prompt).toEqual([[1], tokens]);
  });

  it('a bias for many tokens', () => {
    const bias = keys(1_024, String, 1);
    expect(completionRequest.parse(completion({ logit_bias: bias })).logit_bias).toEqual(bias);
  });

  it('a conversation of texts and of parts', () => {
    const messages = many(1_000, { role: 'user', content: [{ type: 'text', text: 'x' }] });
    expect(chatRequest.parse(chat({ messages })).messages).toEqual(messages);
  });
});

it('names that reach prototypes reach none', () => {
  const names =
    '"__proto__":{"stream":true,"seed":1},"constructor":{"prototype":{"seed":1}},"prototype":{"seed":1}';
  const read = (schema: z.ZodType, json: string) => schema.parse(JSON.parse(json)) as Record<string, unknown>;
  const request = read(
    completionRequest,
    `{"model":"m","prompt":"x","stream_options":{${names}},"response_format":{"type":"json_schema","json_schema":{"schema":{${names}},${names}},${names}},${names}}`,
  );
  expect(Object.keys(request).toSorted()).toEqual(['model', 'prompt', 'response_format', 'stream_options']);
  expect([request.stream, request.seed, ({} as { seed?: unknown }).seed]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(request.stream_options).toEqual({});
  // A schema may well describe objects that have such names.
  expect(JSON.stringify(request.response_format)).toContain(`{"schema":{${names}}}`);
  const conversation = read(
    chatRequest,
    `{"model":"m","messages":[{"role":"u","content":"x",${names}}],${names}}`,
  );
  expect(conversation.messages).toEqual([{ role: 'u', content: 'x' }]);
  expect(Object.getPrototypeOf(read(embeddingsRequest, `{"model":"m",${names}}`))).toBe(Object.prototype);
  expect(
    completionRequest.safeParse(JSON.parse(`{"model":"m","prompt":"x","logit_bias":{${names}}}`)).success,
  ).toBe(false);
});

describe('messages', () => {
  const parse = (message: object) => chatRequest.safeParse(chat({ messages: [message] }));
  it.each([
    [{ role: 'user', content: null }, 'messages.0.content'],
    [{ role: 'tool', tool_call_id: 'a' }, 'messages.0.content'],
    [{ role: 'function', name: 'f', content: '1' }, 'messages.0.role'],
    [
      { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{}' } },
      'messages.0.function_call',
    ],
    [{ role: 'assistant', content: null, audio: { id: 'a' } }, 'messages.0.audio'],
    [{ role: 'assistant', content: 'It was', prefix: true }, 'messages.0.prefix'],
    [{ role: 'user', content: [{ type: 'input_audio', input_audio: {} }] }, 'messages.0.content.0.type'],
    [{ role: 'user', content: [{ type: 'file', file: {} }] }, 'messages.0.content.0.type'],
    [{ role: 'user', content: ['Hi'] }, 'messages.0.content.0'],
    [{ role: 'user', content: { type: 'text', text: 'Hi' } }, 'messages.0.content'],
    [
      { role: 'assistant', tool_calls: [{ id: 'a', type: 'custom', custom: { name: 'f', input: '' } }] },
      'messages.0.tool_calls.0.type',
    ],
  ])('that would lose something are refused by name: %j', (message, param) => {
    const { error } = parse(message);
    expect(error && toApiError(error)).toMatchObject({ status: 400, param });
  });

  it('say what they refused', () => {
    const { data } = parse({ role: 'assistant', content: null, refusal: 'No.' });
    expect(data?.messages[0].content).toBe('No.');
    expect(parse({ role: 'assistant', content: null, function_call: null, audio: null }).success).toBe(true);
  });
});

it.each([
  [{ logit_bias: { a: 1 } }, 'logit_bias.a'],
  [{ logit_bias: { '-1': 1 } }, 'logit_bias.-1'],
  [{ logit_bias: { 5: '1' } }, 'logit_bias.5'],
  [{ logit_bias: { 5: 101 } }, 'logit_bias.5'],
  [{ logit_bias: { 5: null } }, 'logit_bias.5'],
  [{ n: 0 }, 'n'],
  [{ n: 1.5 }, 'n'],
  [{ n: '2' }, 'n'],
  [{ stream: 'true' }, 'stream'],
  [{ stream_options: true }, 'stream_options'],
  [{ stream_options: { include_usage: 1 } }, 'stream_options.include_usage'],
  [{ response_format: 'json' }, 'response_format'],
  [{ response_format: { type: 'regex', pattern: 'a' } }, 'response_format.type'],
  [{ response_format: { type: 'json_schema' } }, 'response_format.json_schema'],
  [
    { response_format: { type: 'json_schema', json_schema: { name: 'x' } } },
    'response_format.json_schema.schema',
  ],
  [{ tools: [{ type: 'custom', custom: { name: 'f' } }] }, 'tools.0.type'],
  [{ tools: [{ function: { name: 'f' } }] }, 'tools.0.type'],
  [{ tools: [{ type: 'function', name: 'f' }] }, 'tools.0.function'],
  [{ tool_choice: { type: 'custom', custom: { name: 'f' } } }, 'tool_choice.type'],
  [{ chat_template_kwargs: { a: { b: 1 } } }, 'chat_template_kwargs.a'],
  [{ seed: 0.5 }, 'seed'],
  [{ top_logprobs: 21, logprobs: true }, 'top_logprobs'],
  [{ logprobs: 3 }, 'logprobs'],
])('%j is refused by name', (more, param) => {
  const { error } = chatRequest.safeParse(chat(more));
  expect(error && toApiError(error)).toMatchObject({ status: 400, param });
});
