import { describe, expect, it } from 'vitest';
import { translateFields } from '../../../http-api/foreign-fields.js';
import { chatRequest, completionRequest } from '../../../http-api/schemas.js';

const schema = { type: 'object', properties: { a: { type: 'integer' } } };
const asked = { type: 'json_schema', json_schema: { schema } };
const base = { model: 'm', messages: [{ role: 'user', content: 'Hi' }] };
type Endpoint = Parameters<typeof translateFields>[1];
const translated = (more: object, endpoint?: Endpoint) =>
  translateFields({ ...base, ...more }, endpoint) as Record<string, unknown>;

describe('a field that means what one of ours means', () => {
  it.each([
    [{ response_format: { type: 'json_object', schema } }, { response_format: asked }],
    [{ response_format: { type: 'json_schema', schema } }, { response_format: asked }],
    [{ json_schema: schema }, { response_format: asked }],
    [{ guided_json: JSON.stringify(schema) }, { response_format: asked }],
    [{ structured_outputs: { json: schema, regex: null } }, { response_format: asked }],
    [{ response_format: { type: 'json_object' } }, { response_format: { type: 'json_object' } }],
    [{ response_format: { type: 'text' } }, { response_format: { type: 'text' } }],
    [{ n_predict: 7 }, { max_tokens: 7 }],
    [{ n_predict: -1 }, { max_tokens: 1_048_576 }],
    [{ max_tokens: -1 }, { max_tokens: 1_048_576 }],
    [{ top_k: -1 }, { top_k: 0 }],
    [{ user: '' }, {}],
    [{ max_completion_tokens: 5, max_tokens: 9 }, { max_completion_tokens: 5 }],
    [{ stop: '' }, {}],
    [{ stop: ['', 'x'] }, { stop: ['x'] }],
    [{ repetition_penalty: 1.2 }, { repeat_penalty: 1.2 }],
    [{ num_predict: 7 }, { max_tokens: 7 }],
    [{ max_new_tokens: 7 }, { max_tokens: 7 }],
    [{ max_output_tokens: 7 }, { max_tokens: 7 }],
    [{ logit_bias: [] }, { logit_bias: {} }],
    [
      {
        logit_bias: [
          [5, -2.5],
          [6, false],
        ],
      },
      { logit_bias: { 5: -2.5, 6: -100 } },
    ],
    [
      { reasoning_effort: 'low' },
      { reasoning_effort: 'low', chat_template_kwargs: { reasoning_effort: 'low' } },
    ],
    [
      { reasoning_effort: 'none', chat_template_kwargs: { x: 1 } },
      {
        reasoning_effort: 'none',
        chat_template_kwargs: { reasoning_effort: 'none', enable_thinking: false, x: 1 },
      },
    ],
    [
      { enable_thinking: true, chat_template_kwargs: { enable_thinking: false } },
      { enable_thinking: true, chat_template_kwargs: { enable_thinking: false } },
    ],
    [{ safety_identifier: '' }, {}],
    [{ extra_body: { top_k: 3, repetition_penalty: 1.5 } }, { top_k: 3, repeat_penalty: 1.5 }],
  ])('is followed: %j', (more, expected) => {
    const fields = translated(more);
    expect(fields).toEqual({ ...base, ...expected });
    expect(chatRequest.safeParse(fields).success).toBe(true);
  });
});

describe('a field that would change the answer', () => {
  it.each([
    ['mirostat', 2, 0],
    ['typical_p', 0.5, 1],
    ['xtc_probability', 0.1, 0],
    ['dry_multiplier', 0.8, 0],
    ['min_tokens', 5, 0],
    ['grammar', 'root ::= "a"', ''],
    ['guided_regex', '[a-z]+', null],
    ['guided_choice', ['a', 'b'], []],
    ['use_beam_search', true, false],
    ['skip_special_tokens', false, true],
    ['logits_processors', ['x'], null],
    ['stop_token_ids', [3], []],
    ['store', true, false],
    ['conversation', 'conv_1', null],
    ['no_repeat_ngram_size', 3, 0],
    ['format', 'json', null],
    ['options', { temperature: 2 }, {}],
    ['system', 'You are a bear.', ''],
    ['instructions', 'You are a bear.', null],
    ['do_sample', false, true],
    ['num_beams', 4, 1],
    ['regex', '[a-z]', ''],
    ['ebnf', 'root ::= "a"', null],
    ['guided_json_object', true, false],
    ['banned_tokens', [4], []],
    ['min_length', 4, 0],
    ['best_of', 3, 1],
    ['suffix', 'the end', ''],
    ['verbosity', 'low', 'medium'],
    ['reasoning_format', 'deepseek', 'auto'],
    ['include_reasoning', false, true],
    ['thinking', { type: 'enabled' }, null],
    ['system_prompt', 'x', null],
  ])('is refused by name, and accepted where it changes nothing: %s', (name, value, neutral) => {
    expect(() => translated({ [name]: value })).toThrow(
      expect.objectContaining({ status: 400, param: name, code: 'unsupported' }),
    );
    expect(() => translated({ extra_body: { [name]: value } })).toThrow(
      expect.objectContaining({ param: name }),
    );
    expect(() => translated({ [name]: neutral })).not.toThrow();
  });

  it('is refused in a structure of fields, too', () => {
    expect(() => translated({ structured_outputs: { regex: 'a+' } })).toThrow(
      expect.objectContaining({ param: 'structured_outputs.regex' }),
    );
  });

  it('is refused where two say what form the answer has', () => {
    expect(() => translated({ json_schema: schema, response_format: asked })).toThrow(/both say what form/);
    expect(() => translated({ guided_json: '{' })).toThrow(/no JSON/);
  });
});

describe('a field of one endpoint', () => {
  it.each([
    ['completion', 'add_special_tokens', false, true],
    ['completion', 'messages', [{ role: 'user', content: 'Hi' }], []],
    ['completion', 'tools', [{ type: 'function' }], []],
    ['completion', 'top_logprobs', 3, 0],
    ['responses', 'truncation', 'auto', 'disabled'],
    ['responses', 'n', 2, 1],
    ['responses', 'top_logprobs', 2, 0],
    ['responses', 'prompt', { id: 'pmpt_1' }, null],
    ['responses', 'previous_response_id', 'resp_1', null],
    ['responses', 'background', true, false],
    ['responses', 'best_of', 2, 1],
  ] as const)(
    'is refused by name where it would change the answer: %s %s',
    (endpoint, name, value, neutral) => {
      const ask = (what: unknown) => translateFields({ model: 'm', [name]: what }, endpoint);
      expect(() => ask(value)).toThrow(expect.objectContaining({ status: 400, param: name }));
      expect(() => ask(neutral)).not.toThrow();
    },
  );

  it('templates of chats put special tokens themselves', () => {
    expect(() => translated({ add_special_tokens: false })).not.toThrow();
  });

  it('completions may say that they want no log-probabilities as chats do', () => {
    expect(translated({ messages: null, logprobs: false }, 'completion').logprobs).toBeUndefined();
  });
});

describe('what functions may be called', () => {
  const tools = ['a', 'b', 'c'].map((name) => ({ type: 'function', function: { name } }));
  const allowed = (names: string[]) => ({
    type: 'allowed_tools',
    allowed_tools: {
      mode: 'required',
      tools: names.map((name) => ({ type: 'function', function: { name } })),
    },
  });

  it('may be said as Mistral and OpenAI say it', () => {
    expect(translated({ tools, tool_choice: 'any' }).tool_choice).toBe('required');
    const chosen = translated({ tools, tool_choice: allowed(['c', 'a']) });
    expect(chosen.tool_choice).toBe('required');
    expect(chosen.tools).toEqual([tools[2], tools[0]]);
    const flat = [
      { type: 'function', name: 'a' },
      { type: 'function', name: 'b' },
    ];
    const choice = { type: 'allowed_tools', mode: 'auto', tools: [{ type: 'function', name: 'b' }] };
    const response = translateFields({ tools: flat, tool_choice: choice }, 'responses');
    expect(response).toMatchObject({ tools: [flat[1]], tool_choice: 'auto' });
    expect(() => translated({ tools, tool_choice: allowed(['d']) })).toThrow(
      /"d" is allowed, and tools has none such/,
    );
  });
});

it.each([
  [{ response_format: { type: 'text', schema } }, 'response_format.type'],
  [{ response_format: { type: 'json_object', json_schema: { schema } } }, 'response_format.json_schema'],
  [{ logit_bias: [['Hello', 1]] }, 'logit_bias'],
  [{ logit_bias: [5] }, 'logit_bias'],
  [{ reasoning_effort: 'much' }, 'reasoning_effort'],
  [{ reasoning: { effort: 4 } }, 'reasoning.effort'],
])('%j is refused by name', (more, param) => {
  expect(() => translated(more)).toThrow(expect.objectContaining({ status: 400, param }));
});

it('books and limits that servers keep are accepted', () => {
  const books = {
    user: 'me',
    metadata: { a: 'b' },
    service_tier: 'default',
    parallel_tool_calls: true,
    cache_prompt: true,
    id_slot: -1,
    prompt_cache_key: 'k',
  };
  expect(chatRequest.safeParse(translated(books)).success).toBe(true);
});

it('nothing is generated where completions ask for 0 tokens, and chats have to ask for one', () => {
  expect(completionRequest.safeParse({ model: 'm', prompt: 'x', max_tokens: 0 }).success).toBe(true);
  expect(chatRequest.safeParse({ ...base, max_tokens: 0 }).success).toBe(false);
});
