import { describe, expect, it } from 'vitest';
import type { GgufValue } from '../../../../gguf/index.js';
import { createTokenizer } from '../../../../llm/tokenizer/index.js';
import { bytePairId, bytePairMetadata } from './vocabularies.js';

const OWN_END = bytePairId('<|begin|>');

/** The byte-pair vocabulary with `texts` more, of the ordinary type; ends are told by their texts. */
function ends(texts: readonly string[], keys: Record<string, GgufValue> = {}) {
  const before = bytePairMetadata();
  const tokens = (before.get('tokenizer.ggml.tokens') as string[]).map((text) =>
    text === '<|im_end|>' ? 'something else' : text,
  );
  const types = [...(before.get('tokenizer.ggml.token_type') as Int32Array), ...texts.map(() => 1)];
  const all = [...tokens, ...texts];
  const tokenizer = createTokenizer(
    bytePairMetadata({
      'tokenizer.ggml.tokens': all,
      'tokenizer.ggml.token_type': Int32Array.from(types),
      ...keys,
    }),
  );
  const found = [...tokenizer.eosIds].filter((id) => id !== OWN_END).map((id) => all[id]);
  return { tokenizer, found: new Set(found), idOf: (text: string) => all.indexOf(text) };
}

describe('a generation ends as with llama.cpp', () => {
  it.each([
    '<|eot_id|>',
    '<|im_end|>',
    '<|end|>',
    '<|return|>',
    '<|call|>',
    '<|flush|>',
    '<|calls|>',
    '<end_of_turn>',
    '<|endoftext|>',
    '</s>',
    '<|eom_id|>',
    '<EOT>',
    '_<EOT>',
    '[EOT]',
    '[EOS]',
    '<|end_of_text|>',
    '<end_of_utterance>',
    '<eos>',
    '<turn|>',
    '<|tool_response>',
    '<｜end▁of▁sentence｜>',
    '[e~[',
    '<|fim_pad|>',
    '<PAD>',
    '[PAD]',
    '<|fim_repo|>',
    '<|repo_name|>',
    '<reponame>',
    '<|file_sep|>',
  ])('at %s, which is hidden and no text', (text) => {
    const { tokenizer, found, idOf } = ends([text]);
    expect(found).toEqual(new Set([text]));
    expect(tokenizer.isHidden(idOf(text))).toBe(true);
    expect(tokenizer.encode(text)).not.toContain(idOf(text));
    expect(tokenizer.encode(text, { parseSpecial: true })).toContain(idOf(text));
  });

  it.each(['<|start|>', '<start_of_turn>', '<|im_start|>', '<s>', '<pad>', '<|fim_prefix|>', '<MID>'])(
    'and not at %s',
    (text) => {
      expect(ends([text]).found).toEqual(new Set());
    },
  );

  it.each([
    [
      ['<|end|>', '<|return|>', '<|call|>'],
      ['<|return|>', '<|call|>'],
    ],
    [
      ['<|end|>', '<|flush|>', '<|calls|>'],
      ['<|flush|>', '<|calls|>'],
    ],
    [
      ['<|end|>', '<|return|>'],
      ['<|end|>', '<|return|>'],
    ],
    [
      ['<|end|>', '<|call|>'],
      ['<|end|>', '<|call|>'],
    ],
    [
      ['</s>', '<|tool_response>', '<eos>'],
      ['<|tool_response>', '<eos>'],
    ],
  ])('of %j at %j only', (texts, expected) => {
    expect(ends(texts).found).toEqual(new Set(expected));
  });

  it("gpt-oss's frames are shown and known in every text, its <|end|> too", () => {
    const { tokenizer, idOf } = ends(['<|end|>', '<|return|>', '<|call|>', '<|channel|>', '<|message|>']);
    for (const text of ['<|end|>', '<|channel|>', '<|message|>']) {
      expect(tokenizer.isHidden(idOf(text)), text).toBe(false);
      expect(tokenizer.encode(text), text).toEqual([idOf(text)]);
    }
  });

  it('of Gemma 4 </s> is ordinary text', () => {
    const { tokenizer, idOf } = ends(['</s>', '<|tool_response>']);
    expect(tokenizer.isHidden(idOf('</s>'))).toBe(false);
  });

  it.each(['eot', 'eom', 'fim_pad', 'fim_rep', 'fim_sep'])('at the token of the key %s', (name) => {
    const key = `tokenizer.ggml.${name}_token_id`;
    expect(ends([], { [key]: bytePairId('<|user|>') }).found).toEqual(new Set(['<|user|>']));
  });

  it('at the padding that a key names, and then at no other', () => {
    const { found } = ends(['<|fim_pad|>'], { 'tokenizer.ggml.fim_pad_token_id': bytePairId('<|user|>') });
    expect(found).toEqual(new Set(['<|user|>']));
  });

  it('not at ids for the beginning of what is to be filled in', () => {
    const keys = { 'tokenizer.ggml.fim_pre_token_id': bytePairId('<|user|>') };
    expect(ends([], keys).found).toEqual(new Set());
  });
});
