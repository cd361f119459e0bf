import { describe, expect, it } from 'vitest';
import type { ChatMessage, Conversation } from '../../../../llm/tokenizer/chat-conversation.js';
import { type ChatFrame, ChatRenderer } from '../../../../llm/tokenizer/chat-renderer.js';
import { CHAT_TEMPLATES } from '../../../fixtures/chat-templates.js';

const code = (name: string) => expect.objectContaining({ code: name });
const families = Object.keys(CHAT_TEMPLATES);

function render(source: string, conversation: Conversation, adds = true): string {
  const frame: ChatFrame = { source, names: [], bos: '<s>', eos: '</s>' };
  return new ChatRenderer(source).render(frame, conversation, adds);
}

const say = (role: ChatMessage['role'], content: string): ChatMessage => ({ role, content });
const OWL = say('system', 'You are an owl.');
const DEVELOPER = say('developer', 'Answer in one line.');
const ASK = say('user', 'Who are you?');
const ANSWER = say('assistant', 'An owl, hoo.');
const AGAIN = say('user', 'Where is the mouse?');
const CALL: ChatMessage = {
  role: 'assistant',
  content: '',
  toolCalls: [{ id: 'call_abcdefghijkl', name: 'find_mouse', arguments: '{"field": "north"}' }],
};
const RESULT: ChatMessage = {
  role: 'tool',
  content: 'under the oak',
  toolCallId: 'call_abcdefghijkl',
};
const TOOLS = JSON.stringify([
  {
    type: 'function',
    function: {
      name: 'find_mouse',
      description: 'Finds a mouse',
      parameters: { type: 'object', properties: { field: { type: 'string' } }, required: ['field'] },
    },
  },
]);

/** Each text stands there once, in the order in which it was said. */
function expectAll(rendered: string, texts: readonly string[]): void {
  for (const text of texts) expect(rendered.split(text), `${text} in ${rendered}`).toHaveLength(2);
}

describe.each(families)('a template like that of %s', (family) => {
  const source = CHAT_TEMPLATES[family];

  it.each([
    ['user', [ASK]],
    ['system, user', [OWL, ASK]],
    ['developer, user', [DEVELOPER, ASK]],
    ['five turns', [OWL, ASK, ANSWER, AGAIN, ANSWER]],
    ['system and developer', [OWL, DEVELOPER, ASK, ANSWER, AGAIN]],
    ['a developer in the middle', [OWL, ASK, ANSWER, DEVELOPER, AGAIN]],
    ['a system text at the end', [ASK, ANSWER, AGAIN, OWL]],
    ['two questions', [ASK, AGAIN]],
  ] as [string, ChatMessage[]][])('loses nothing of %s', (_, messages) => {
    const numbered = messages.map((one, i) => ({ ...one, content: `${one.content} (${i})` }));
    expectAll(
      render(source, { messages: numbered }),
      numbered.map(({ content }) => content),
    );
  });

  it('loses nothing of functions, calls and results', () => {
    const rendered = render(source, { messages: [OWL, AGAIN, CALL, RESULT], tools: TOOLS });
    expectAll(rendered, [OWL.content, AGAIN.content, RESULT.content, 'Finds a mouse']);
    expect(rendered.split('find_mouse').length).toBeGreaterThanOrEqual(3);
    expect(rendered).toContain('"north"');
  });

  it('renders the same conversation the same, whatever came before', () => {
    const frame = { source, names: [], bos: '<s>', eos: '</s>' };
    const renderer = new ChatRenderer(source);
    const all = [[ASK], [OWL, ASK], [DEVELOPER, ASK, ANSWER, AGAIN], [ASK]];
    const first = all.map((messages) => renderer.render(frame, { messages }, true));
    const second = all
      .toReversed()
      .map((messages) => new ChatRenderer(source).render(frame, { messages }, true));
    expect(second.toReversed()).toEqual(first);
  });
});

describe('what a template has a place for stays there', () => {
  it('a system text where there is one', () => {
    expect(render(CHAT_TEMPLATES['Phi-3'], { messages: [DEVELOPER, ASK] })).toBe(
      '<|system|>\nAnswer in one line.<|end|>\n<|user|>\nWho are you?<|end|>\n<|assistant|>\n',
    );
  });

  it('else the first turn of the user', () => {
    expect(render(CHAT_TEMPLATES['Gemma-2'], { messages: [OWL, ASK] })).toBe(
      '<s><start_of_turn>user\nYou are an owl.\n\nWho are you?<end_of_turn>\n<start_of_turn>model\n',
    );
  });

  it('calls of a template that knows them', () => {
    expect(render(CHAT_TEMPLATES['Qwen2.5'], { messages: [AGAIN, CALL, RESULT] })).toBe(
      '<|im_start|>user\nWhere is the mouse?<|im_end|>\n<|im_start|>assistant\n\n<tool_call>\n{"name": "find_mouse", "arguments": {"field": "north"}}\n</tool_call><|im_end|>\n<|im_start|>user\n<tool_response>\nunder the oak\n</tool_response><|im_end|>\n<|im_start|>assistant\n',
    );
    expect(render(CHAT_TEMPLATES['Mistral v3'], { messages: [AGAIN, CALL, RESULT], tools: TOOLS })).toMatch(
      /^<s>\[AVAILABLE_TOOLS\] .*\[INST\] Where is the mouse\?\[\/INST\]\[TOOL_CALLS\] \[\{"name": "find_mouse", "arguments": \{"field": "north"\}, "id": "(\w{9})"\}\]<\/s>\[TOOL_RESULTS\] \{"content": under the oak, "call_id": "\1"\}\[\/TOOL_RESULTS\]$/,
    );
  });

  it('a result of several lines that the template writes as JSON', () => {
    const result = { ...RESULT, content: '{\n  "place": "under the oak"\n}\n' };
    expect(render(CHAT_TEMPLATES['Llama-3.2'], { messages: [AGAIN, CALL, result] })).toContain(
      JSON.stringify(result.content),
    );
  });

  it('what was thought in an earlier turn is left out by templates of models that think', () => {
    const thought = say('assistant', '<think>\nhm\n</think>\n\nAn owl.');
    const rendered = render(CHAT_TEMPLATES.Qwen3, { messages: [ASK, thought, AGAIN] });
    expect(rendered).toContain('assistant\nAn owl.<');
    expect(rendered).not.toContain('hm');
  });
});

describe('a conversation that cannot be rendered whole', () => {
  it('is refused by the message that is lost', () => {
    const first = '{{ messages[0].content }}';
    expect(() => render(first, { messages: [ASK, ANSWER] })).toThrow(
      /LLM_CHAT_TURN_LOST.*leaves out message 1 \(assistant\)/,
    );
  });

  it('is refused where a text is cut', () => {
    const cuts = '{% for m in messages %}{{ m.content[:20] }}{% endfor %}';
    expect(render(cuts, { messages: [ASK] })).toBe('Who are you?');
    const long = say('user', 'A text of more than twenty characters');
    expect(() => render(cuts, { messages: [long] })).toThrow(code('LLM_CHAT_TURN_LOST'));
  });

  it('is refused where functions are lost and can be said nowhere', () => {
    const none =
      "{% if messages[0].role != 'user' or messages|length > 1 %}{{ raise_exception('no') }}{% endif %}x";
    expect(() => render(none, { messages: [ASK], tools: TOOLS })).toThrow(code('LLM_CHAT_TURN_LOST'));
  });
});

describe('the day', () => {
  const source = "{{ strftime_now('%d %b %Y %A %-d %j') }}{{ messages[0].content }}";
  it('is fixed unless it is given', () => {
    expect(render(source, { messages: [ASK] })).toBe('26 Jul 2024 Friday 26 208Who are you?');
    expect(render(source, { messages: [ASK], date: '2026-11-09' })).toBe(
      '09 Nov 2026 Monday 9 313Who are you?',
    );
  });
});

describe('variables of a template', () => {
  it('are what the request says, and cannot take the place of the conversation', () => {
    const source = '{{ enable_thinking }} {{ bos_token }} {{ messages[0].content }}';
    const variables = { enable_thinking: false, bos_token: 'mine', messages: 'mine' };
    expect(render(source, { messages: [ASK], variables })).toBe('false <s> Who are you?');
  });
});
