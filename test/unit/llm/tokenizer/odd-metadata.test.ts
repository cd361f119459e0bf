import { describe, expect, it } from 'vitest';
import type { GgufValue } from '../../../../gguf/index.js';
import { createTokenizer, type Tokenizer } from '../../../../llm/tokenizer/index.js';
import { bytePairMetadata } from './vocabularies.js';

type Changes = Record<string, GgufValue | undefined>;

const BYTES = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
);
const PIECES = ['<unk>', '<s>', '</s>', ...BYTES, '▁', 'a', 'b', 'ab', 'c', 'abc', 'bc'];

/** A SentencePiece vocabulary with the special tokens where llama.cpp has them by default, and no key that has a default. */
function sentencePiece(changes: Changes = {}): Map<string, GgufValue> {
  const types = Int32Array.from(PIECES, (_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 3 + 256 ? 6 : 1));
  const all: Changes = {
    'tokenizer.ggml.model': 'llama',
    'tokenizer.ggml.tokens': PIECES,
    'tokenizer.ggml.token_type': types,
    'tokenizer.ggml.scores': Float32Array.from(PIECES, (_, id) => -id),
    ...changes,
  };
  return new Map(Object.entries(all).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])));
}

function made(metadata: Map<string, GgufValue>): { tokenizer: Tokenizer; assumed: string[] } {
  const assumed = new Set<string>();
  return { tokenizer: createTokenizer(metadata, assumed), assumed: [...assumed] };
}

const id = (text: string) => PIECES.indexOf(text);

describe('a SentencePiece vocabulary has what llama.cpp takes for granted', () => {
  const absent = made(sentencePiece());

  it('where no special token is named: 1 begins, 2 ends, and texts begin with it', () => {
    const { bosId, eosId, eosIds, addsBos } = absent.tokenizer;
    expect({ bosId, eosId, eosIds: [...eosIds], addsBos }).toEqual({
      bosId: 1,
      eosId: 2,
      eosIds: [2],
      addsBos: true,
    });
    expect(absent.tokenizer.encode('ab')).toEqual([1, id('▁'), id('ab')]);
    expect(absent.assumed).toEqual([
      'tokenizer.ggml.bos_token_id is missing; assumed: 1, "<s>"',
      'tokenizer.ggml.eos_token_id is missing; assumed: 2, "</s>"',
    ]);
  });

  it.each<[GgufValue, string]>([
    [-1, 'is -1'],
    [0xffff_ffff, 'is 4294967295'],
    [PIECES.length, `is ${PIECES.length}`],
    [1.5, 'is 1.5'],
    ['1', 'is "1"'],
    [Int32Array.of(1), 'is a list'],
    [2n ** 60n, `is ${2n ** 60n}`],
  ])('where %s is named', (value, said) => {
    const odd = made(
      sentencePiece({ 'tokenizer.ggml.bos_token_id': value, 'tokenizer.ggml.eos_token_id': value }),
    );
    expect([odd.tokenizer.bosId, odd.tokenizer.eosId]).toEqual([1, 2]);
    expect(odd.assumed[0]).toBe(`tokenizer.ggml.bos_token_id ${said}; assumed: 1, "<s>"`);
  });

  it('where the default is no token either, there is none, and nothing is added', () => {
    const { tokenizer, assumed } = made(
      sentencePiece({
        'tokenizer.ggml.tokens': ['a'],
        'tokenizer.ggml.token_type': Int32Array.of(1),
        'tokenizer.ggml.add_bos_token': true,
      }),
    );
    expect([tokenizer.bosId, tokenizer.eosId, [...tokenizer.eosIds], tokenizer.addsBos]).toEqual([
      undefined,
      undefined,
      [],
      false,
    ]);
    expect(assumed.at(-1)).toBe(
      'tokenizer.ggml.add_bos_token is true; assumed: false, because there is no such token',
    );
  });

  it('where scores are missing: what stands first merges first', () => {
    const { tokenizer, assumed } = made(sentencePiece({ 'tokenizer.ggml.scores': undefined }));
    // With scores "bc" (−265) waits for "ab" (−262); without, the leftmost pair merges too.
    expect(tokenizer.encode('abc', { addSpecial: false })).toEqual([id('▁'), id('abc')]);
    expect(tokenizer.encode('bcb', { addSpecial: false })).toEqual([id('▁'), id('bc'), id('b')]);
    expect(assumed).toContain('tokenizer.ggml.scores is missing; assumed: one score for all tokens');
  });

  it('where scores are whole numbers, or more than tokens', () => {
    const scores = Int32Array.from({ length: PIECES.length + 3 }, (_, one) => -one);
    const { tokenizer } = made(sentencePiece({ 'tokenizer.ggml.scores': scores }));
    expect(tokenizer.encode('abc')).toEqual(absent.tokenizer.encode('abc'));
  });

  it('where types are missing: every token is text, its end known by its text', () => {
    const { tokenizer, assumed } = made(sentencePiece({ 'tokenizer.ggml.token_type': undefined }));
    expect(tokenizer.encode('aé', { addSpecial: false })).toEqual([
      id('▁'),
      id('a'),
      id('<0xC3>'),
      id('<0xA9>'),
    ]);
    expect([...tokenizer.eosIds]).toEqual([2]);
    expect(tokenizer.isHidden(2)).toBe(true);
    expect(assumed).toContain('tokenizer.ggml.token_type is missing; assumed: all tokens are ordinary text');
  });

  it('where types are more than tokens, or none that exists', () => {
    const types = Int32Array.from({ length: PIECES.length + 1 }, (_, one) => (one === id('c') ? 9 : 1));
    const { tokenizer } = made(sentencePiece({ 'tokenizer.ggml.token_type': types }));
    expect(tokenizer.encode('ab', { addSpecial: false })).toEqual([id('▁'), id('ab')]);
  });
});

describe('a flag of a vocabulary', () => {
  it.each<[GgufValue, boolean]>([
    [false, false],
    [0, false],
    ['false', false],
    [true, true],
    [1, true],
    ['true', true],
    [7, true],
    ['maybe', true],
    [Int8Array.of(0), true],
  ])('of %s is %s, where yes is the default', (value, added) => {
    const { tokenizer, assumed } = made(
      sentencePiece({ 'tokenizer.ggml.add_bos_token': value, 'tokenizer.ggml.add_space_prefix': false }),
    );
    expect(tokenizer.addsBos).toBe(added);
    expect(tokenizer.encode('a')).toEqual(added ? [1, id('a')] : [id('a')]);
    expect(assumed.some((one) => one.includes('add_bos_token'))).toBe(typeof value !== 'boolean');
  });

  it('of 0 as add_space_prefix adds none', () => {
    const { tokenizer } = made(sentencePiece({ 'tokenizer.ggml.add_space_prefix': 0 }));
    expect(tokenizer.encode('a')).toEqual([1, id('a')]);
  });

  it('of 1 as add_eos_token adds the end', () => {
    const { tokenizer } = made(sentencePiece({ 'tokenizer.ggml.add_eos_token': 1 }));
    expect(tokenizer.encode('a')).toEqual([1, id('▁'), id('a'), 2]);
  });
});

describe('a byte-pair vocabulary has what llama.cpp takes for granted', () => {
  it('where no special token is named: 11, and it is said', () => {
    const { tokenizer, assumed } = made(
      bytePairMetadata({
        'tokenizer.ggml.bos_token_id': undefined,
        'tokenizer.ggml.eos_token_id': 0xffff_ffff,
      }),
    );
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.addsBos]).toEqual([11, 11, false]);
    expect(assumed).toEqual([
      'tokenizer.ggml.bos_token_id is missing; assumed: 11, ","',
      'tokenizer.ggml.eos_token_id is 4294967295; assumed: 11, ","',
    ]);
  });

  it('where merges are not two symbols: they are never looked for', () => {
    const merges = ['l l', 'h e', 'll o', 'he llo', 'ab', ' x', 'y ', 'Ġ hello'];
    const { tokenizer, assumed } = made(bytePairMetadata({ 'tokenizer.ggml.merges': merges }));
    expect(tokenizer.encode(' hello hello')).toEqual(
      createTokenizer(bytePairMetadata()).encode(' hello hello'),
    );
    expect(assumed).toEqual([
      'tokenizer.ggml.merges is a list; assumed: nothing of 3 entries that are not two symbols',
    ]);
  });

  it.each<[string, GgufValue]>([
    ['blank', ' \n\t'],
    ['empty', ''],
    ['no text', 7],
  ])('where the chat template is %s: none', (_, template) => {
    const { tokenizer, assumed } = made(bytePairMetadata({ 'tokenizer.chat_template': template }));
    expect(tokenizer.chatTemplate).toBeUndefined();
    expect(assumed).toEqual([`tokenizer.chat_template is ${JSON.stringify(template)}; assumed: none`]);
  });

  it('nothing, where all is there', () => {
    expect(made(bytePairMetadata()).assumed).toEqual([]);
  });
});
