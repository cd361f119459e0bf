import { describe, expect, it } from 'vitest';
import { translateFields } from '../../../http-api/foreign-fields.js';
import { chatRequest, completionRequest } from '../../../http-api/schemas.js';

const schema = { type: 'object', properties: { a: { type: 'integer' } } };
const asked = { type: 'json_schema', json_schema: { schema } };
const base = { model: 'm', messages: [{ role: 'user', content: 'Hi' }] };
const translated = (more: object) => translateFields({ ...base, ...more }) as Record<string, unknown>;

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
    ['add_special_tokens', false, true],
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
