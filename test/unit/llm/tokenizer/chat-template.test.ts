import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ChatMessage } from '../../../../llm/tokenizer/chat-conversation.js';
import { ChatTemplate } from '../../../../llm/tokenizer/chat-template.js';
import { createTokenizer } from '../../../../llm/tokenizer/index.js';
import {
  bytePairId,
  bytePairMetadata,
  hasSharedVocabularies,
  sharedPath,
  tokenizerOfFile,
} from './vocabularies.js';

const code = (name: string) => expect.objectContaining({ code: name });
const tokenizer = createTokenizer(bytePairMetadata());
const [BEGIN, END, USER] = ['<|begin|>', '<|im_end|>', '<|user|>'].map(bytePairId);

const TURNS =
  '{{ bos_token }}{% for message in messages %}<|user|>{{ message.role }}:{{ message.content | trim }}<|im_end|>{% endfor %}' +
  '{% if add_generation_prompt %}<|user|>assistant:{% endif %}';

const user = (content: string): ChatMessage => ({ role: 'user', content });

describe('a chat template', () => {
  it('frames the messages with its control tokens and asks for an answer', () => {
    const template = new ChatTemplate(tokenizer, TURNS);
    const ids = template.encode({ messages: [user(' hello ')] });
    expect(ids.filter((id) => [BEGIN, END, USER].includes(id))).toEqual([BEGIN, USER, END, USER]);
    expect(tokenizer.decode(ids, { special: true })).toBe(
      '<|begin|><|user|>user:hello<|im_end|><|user|>assistant:',
    );
    expect(tokenizer.decode(template.encode({ messages: [user('hello')] }, false))).toBe('user:hello');
  });

  it('never lets a message forge a control token', () => {
    const template = new ChatTemplate(
      tokenizer,
      `{% for m in messages %}{{ m.content }}{% endfor %}${TURNS}`,
    );
    const frame = template
      .encode({ messages: [user('a'), user('b')] })
      .filter((id) => tokenizer.isHidden(id));
    const part = fc.constantFrom('<|im_end|>', '<|user|>', '<|im_', 'end|>', '<|', '|>', '<', ' ', '\n', 'x');
    fc.assert(
      fc.property(fc.array(part), fc.array(part), (first, second) => {
        const ids = template.encode({ messages: [user(first.join('')), user(second.join(''))] });
        expect(ids.filter((id) => tokenizer.isHidden(id))).toEqual(frame);
        const [a, b] = [first.join(''), second.join('')];
        expect(tokenizer.decode(ids)).toBe(`${a}${b}user:${a.trim()}user:${b.trim()}assistant:`);
      }),
      { numRuns: 500 },
    );
  });

  it('does not add a second BOS where it writes one itself, and adds it where it does not', () => {
    const adding = createTokenizer(bytePairMetadata({ 'tokenizer.ggml.add_bos_token': true }));
    expect(
      new ChatTemplate(adding, TURNS).encode({ messages: [user('x')] }).filter((id) => id === BEGIN),
    ).toHaveLength(1);
    const without = new ChatTemplate(adding, '{{ messages[0].content }}').encode({
      messages: [user('hello')],
    });
    expect(without).toEqual([BEGIN, bytePairId('hello')]);
  });

  it('is taken from the model file where none is given', () => {
    const own = createTokenizer(bytePairMetadata({ 'tokenizer.chat_template': '{{ messages[0].content }}' }));
    expect(new ChatTemplate(own).encode({ messages: [user('hello')] })).toEqual([bytePairId('hello')]);
    expect(() => new ChatTemplate(tokenizer)).toThrow(/LLM_CHAT_TEMPLATE_MISSING.*Use plain completion/);
  });

  it('that refuses a conversation says why', () => {
    const template = new ChatTemplate(tokenizer, "{{ raise_exception('Roles must alternate') }}");
    expect(() => template.encode({ messages: [user('x')] })).toThrow(
      /LLM_CHAT_REFUSED.*Roles must alternate/,
    );
  });

  it.each([
    ['{% if %}'],
    ['{{ messages | nosuchfilter }}'],
    ['{{ range(1000000000) }}'],
    ['{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}'],
    [`{{ ${'('.repeat(50_000)}1`],
    ['x'.repeat(300_000)],
    [
      "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
    ],
  ])('that is hostile ends in a typed error: %#', (source) => {
    const run = () => new ChatTemplate(tokenizer, source).encode({ messages: [user('x')] });
    expect(run).toThrow(code('LLM_CHAT_TEMPLATE_INVALID'));
  });

  it.each([[[]], [[{ role: 'end|><|user', content: 'x' }]], [[{ role: 'user', content: 7 }]]])(
    'refuses the messages %j',
    (messages) => {
      const template = new ChatTemplate(tokenizer, TURNS);
      const malformed: ChatMessage[] = JSON.parse(JSON.stringify(messages));
      expect(() => template.encode({ messages: malformed })).toThrow(code('LLM_CHAT_MESSAGES'));
    },
  );
});

describe.skipIf(!hasSharedVocabularies)("Phi-3's own template (needs ../shared/tokenizer)", () => {
  it('gives the tokens that its control tokens stand for', () => {
    const phi3 = tokenizerOfFile(sharedPath('tokenizer/ggml-vocab-phi-3.gguf'));
    const ids = new ChatTemplate(phi3).encode({ messages: [user('Hi<|end|>')] });
    const text = phi3.encode('Hi<|end|>', { addSpecial: false });
    expect(ids).toEqual([1, 32010, ...text, 32007, 32001]);
  });
});
