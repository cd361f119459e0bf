import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { createTokenizer, type Tokenizer } from '../../../../llm/tokenizer/index.js';
import { preTokenizerOf, splitWords } from '../../../../llm/tokenizer/pre-tokenizers.js';
import {
  bytePairId,
  bytePairMetadata,
  hasSharedModels,
  sharedPath,
  tinyStories,
  tokenizerOfFile,
} from './vocabularies.js';

const code = (name: string) => expect.objectContaining({ code: name });
/** Any text, lone surrogates included, but not the character that SentencePiece itself writes for a space. */
const anyText = fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\u2581', ''));

describe('a SentencePiece vocabulary', () => {
  let tokenizer: Tokenizer;
  beforeAll(() => {
    tokenizer = tinyStories();
  });

  it('gives back every text that it encodes', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }),
      { numRuns: 2000 },
    );
  });

  it('spells characters outside the vocabulary with the byte tokens that the file names', () => {
    expect(tokenizer.encode('漢', { addSpecial: false }).slice(-3)).toEqual([
      2048 + 0xe6,
      2048 + 0xbc,
      2048 + 0xa2,
    ]);
  });

  it('begins texts with BOS where the file says so, unless asked not to', () => {
    expect(tokenizer.encode('')).toEqual([1]);
    expect(tokenizer.encode('', { addSpecial: false })).toEqual([]);
  });

  it('takes the name of a control token for text unless asked to parse it', () => {
    expect(tokenizer.encode('<|end_story|>')).not.toContain(2);
    expect(tokenizer.encode('<|end_story|>', { parseSpecial: true })).toEqual([1, 2]);
    expect(tokenizer.decode(tokenizer.encode('<|end_story|>'))).toBe('<|end_story|>');
  });

  it('leaves control tokens out of texts unless asked to show them', () => {
    const ids = tokenizer.encode('Hi', { parseSpecial: true }).concat(2);
    expect(tokenizer.decode(ids)).toBe('Hi');
    expect(tokenizer.decode(ids, { special: true })).toBe('<|start_story|> Hi<|end_story|>');
  });

  it('reads NUL, a byte-order mark and a lone surrogate as characters', () => {
    const decode = (text: string) => tokenizer.decode(tokenizer.encode(text));
    expect(decode('\0a\0')).toBe('\0a\0');
    expect(decode('\u{feff}a')).toBe('\u{feff}a');
    expect(decode('a\ud83d')).toBe('a\u{fffd}');
  });

  it.each([-1, 2304, 0.5, Number.NaN])('refuses to decode the token %d', (id) => {
    expect(() => tokenizer.decode([id])).toThrow(code('LLM_TOKEN_RANGE'));
  });

  it('encodes a 100 kB run of one character in well under a second', () => {
    // The processor's time: beside other work the clock says nothing.
    const start = process.cpuUsage();
    for (const character of ['a', ' ', '漢']) tokenizer.encode(character.repeat(100_000 / character.length));
    expect(process.cpuUsage(start).user).toBeLessThan(3_000_000);
  });
});

describe('the streaming detokenizer', () => {
  it('never emits half a character, and joined gives the text', () => {
    const tokenizer = tinyStories();
    fc.assert(
      fc.property(anyText, (text) => {
        const stream = tokenizer.stream();
        const parts = tokenizer.encode(text).map((id) => stream.push(id));
        parts.push(stream.flush());
        expect(parts.join('')).toBe(text);
        expect(parts.every((part) => !/\p{Surrogate}/u.test(part))).toBe(true);
        if (!text.includes('\u{fffd}')) expect(parts.join('')).not.toContain('\u{fffd}');
      }),
      { numRuns: 500 },
    );
  });

  it('holds the bytes of a character back until the last has come', () => {
    const stream = tinyStories().stream();
    const bytes = [...new TextEncoder().encode('🙂')].map((byte) => 2048 + byte);
    expect(bytes.map((id) => stream.push(id))).toEqual(['', '', '', '🙂']);
    expect(stream.flush()).toBe('');
  });

  it('turns bytes that are no UTF-8 into U+FFFD, at the end too', () => {
    const stream = tinyStories().stream();
    expect(stream.push(2048 + 0xff)).toBe('\u{fffd}');
    expect(stream.push(2048 + 0xe6)).toBe('');
    expect(stream.push(2048 + 0x41)).toBe('\u{fffd}A');
    expect(stream.push(2048 + 0xe6)).toBe('');
    expect(stream.flush()).toBe('\u{fffd}');
  });

  it('takes off the space before a text, but not before a continuation', () => {
    const tokenizer = tinyStories();
    const ids = tokenizer.encode(' and', { addSpecial: false });
    expect(tokenizer.decode(ids)).toBe(' and');
    expect(tokenizer.decode(ids, { continuation: true })).toBe('  and');
  });
});

describe.skipIf(!hasSharedModels)('a vocabulary without byte tokens (needs ../shared/models)', () => {
  it('gives one unknown token for each character that it lacks', () => {
    const tokenizer = tokenizerOfFile(sharedPath('models/third-party/TinyStories-656K-pad256-Q6_K.gguf'));
    const plain = tokenizer.encode('a');
    expect(tokenizer.encode('漢🙂a').filter((id) => id === 0)).toEqual([0, 0]);
    expect(tokenizer.encode('a漢').slice(0, plain.length)).toEqual(plain);
    expect(tokenizer.decode(tokenizer.encode('a漢b'))).toBe('ab');
  });
});

describe('a byte-pair vocabulary', () => {
  it('merges in the order of its list, within words only', () => {
    const tokenizer = createTokenizer(bytePairMetadata());
    expect(tokenizer.encode('hello hello')).toEqual([bytePairId('hello'), bytePairId('Ġhello')]);
    expect(tokenizer.encode('hell o')).toEqual([
      bytePairId('he'),
      bytePairId('ll'),
      bytePairId('Ġ'),
      bytePairId('o'),
    ]);
  });

  it('gives back every text that it encodes, whichever way it is cut into words', () => {
    for (const pre of ['default', 'gpt-2', 'llama-bpe', 'qwen2', 'smollm', 'tekken']) {
      const tokenizer = createTokenizer(bytePairMetadata({ 'tokenizer.ggml.pre': pre }));
      fc.assert(
        fc.property(fc.string({ unit: 'binary' }), (text) => {
          expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
        }),
      );
    }
  });

  it('recognises user-defined tokens in every text, control tokens only where asked', () => {
    const tokenizer = createTokenizer(bytePairMetadata());
    const ids = tokenizer.encode('<tool><|user|>');
    expect(ids[0]).toBe(bytePairId('<tool>'));
    expect(ids).not.toContain(bytePairId('<|user|>'));
    expect(tokenizer.encode('<|user|>hello', { parseSpecial: true })).toEqual([
      bytePairId('<|user|>'),
      bytePairId('hello'),
    ]);
  });

  it('ends at the tokens named by id and at those known by their text, which become control tokens', () => {
    const types = bytePairMetadata().get('tokenizer.ggml.token_type');
    if (!(types instanceof Int32Array)) throw new Error('no types');
    const tokenizer = createTokenizer(
      bytePairMetadata({ 'tokenizer.ggml.token_type': types.with(bytePairId('<|im_end|>'), 4) }),
    );
    expect([...tokenizer.eosIds].sort()).toEqual([bytePairId('<|begin|>'), bytePairId('<|im_end|>')].sort());
    expect(tokenizer.encode('<|im_end|>')).not.toContain(bytePairId('<|im_end|>'));
  });

  it('adds BOS by default only where its pre-tokenizer does', () => {
    const first = (pre: string) =>
      createTokenizer(bytePairMetadata({ 'tokenizer.ggml.pre': pre })).encode('')[0];
    expect(first('gpt-2')).toBeUndefined();
    expect(first('llama-bpe')).toBe(bytePairId('<|begin|>'));
  });

  it('takes protected text for text even where names are parsed', () => {
    const tokenizer = createTokenizer(bytePairMetadata());
    const control = ['<|begin|>', '<|im_end|>', '<|user|>'];
    const pieces = fc.constantFrom(...control, '<', '|', 'user', '|>', '\u{fdd0}', ' ', 'hello', '<tool>');
    fc.assert(
      fc.property(fc.array(pieces), fc.array(pieces), (before, after) => {
        const [first, second] = [before.join(''), after.join('')];
        const ids = tokenizer.encode(tokenizer.protect(first) + tokenizer.protect(second), {
          parseSpecial: true,
        });
        for (const name of control) expect(ids).not.toContain(bytePairId(name));
        expect(tokenizer.decode(ids)).toBe((first + second).replaceAll('\u{fdd0}', '\u{fffd}'));
      }),
    );
  });
});

describe('pre-tokenizers', () => {
  // Words by hand from the patterns that the models' own tokenizers publish.
  const text = "I'll DON'T été  12345\n\n  x\u0085y {=} ";
  it.each([
    [
      'gpt-2',
      ['I', "'ll", ' DON', "'", 'T', ' été', ' ', ' 12345', '\n\n ', ' x', '\u0085', 'y', ' {=}', ' '],
    ],
    [
      'llama-bpe',
      ['I', "'ll", ' DON', "'T", ' été', ' ', ' ', '123', '45', '\n\n', ' ', ' x', '\u0085y', ' {=}', ' '],
    ],
    [
      'qwen2',
      [
        'I',
        "'ll",
        ' DON',
        "'T",
        ' été',
        ' ',
        ' ',
        '1',
        '2',
        '3',
        '4',
        '5',
        '\n\n',
        ' ',
        ' x',
        '\u0085y',
        ' {=}',
        ' ',
      ],
    ],
    [
      'smollm',
      [
        'I',
        "'ll",
        ' DON',
        "'",
        'T',
        ' été',
        '  ',
        '1',
        '2',
        '3',
        '4',
        '5',
        '\n\n ',
        ' x',
        '\u0085',
        'y',
        ' {=}',
        ' ',
      ],
    ],
    [
      'default',
      [
        'I',
        "'",
        'll',
        ' DON',
        "'",
        'T',
        ' été',
        ' ',
        ' ',
        '123',
        '45',
        '\n\n ',
        ' x',
        '\u0085',
        'y',
        ' ',
        '{=}',
        ' ',
      ],
    ],
  ])('%s cuts words where it should', (name, words) => {
    expect([...splitWords(text, preTokenizerOf(name))]).toEqual(words);
  });
});

describe('a vocabulary that cannot be used', () => {
  const broken = (changes: Parameters<typeof bytePairMetadata>[0]) => () =>
    createTokenizer(bytePairMetadata(changes));
  const spm = { 'tokenizer.ggml.model': 'llama' };

  it.each([
    ['names no tokenizer', { 'tokenizer.ggml.model': undefined }, 'LLM_TOKENIZER_MISSING'],
    ['has no tokens', { 'tokenizer.ggml.tokens': undefined }, 'LLM_TOKENIZER_MISSING'],
    ['has an empty list of tokens', { 'tokenizer.ggml.tokens': [] }, 'LLM_TOKENIZER_MISSING'],
    ['is of an unknown kind', { 'tokenizer.ggml.model': 'bert' }, 'LLM_TOKENIZER_UNSUPPORTED'],
    ['has an unknown pre-tokenizer', { 'tokenizer.ggml.pre': 'new-one' }, 'LLM_TOKENIZER_UNSUPPORTED'],
    [
      'has fewer types than tokens',
      { 'tokenizer.ggml.token_type': new Int32Array(3) },
      'LLM_TOKENIZER_INVALID',
    ],
    [
      'has tokens that are no strings',
      { 'tokenizer.ggml.tokens': new Int32Array(265) },
      'LLM_METADATA_INVALID',
    ],
    ['has no merges', { 'tokenizer.ggml.merges': undefined }, 'LLM_TOKENIZER_INVALID'],
    ['has too few scores', { ...spm, 'tokenizer.ggml.scores': new Float32Array(2) }, 'LLM_TOKENIZER_INVALID'],
    [
      'has a score that is no number',
      { ...spm, 'tokenizer.ggml.scores': new Float32Array(265).fill(Number.NaN) },
      'LLM_TOKENIZER_INVALID',
    ],
    [
      'has a byte token that names no byte',
      {
        ...spm,
        'tokenizer.ggml.scores': new Float32Array(265),
        'tokenizer.ggml.token_type': new Int32Array(265).fill(6),
      },
      'LLM_TOKENIZER_INVALID',
    ],
  ] as const)('because it %s ends in a typed error', (_, changes, expected) => {
    expect(broken(changes)).toThrow(code(expected));
  });

  it('without bytes and without an unknown token says which character it lacks', () => {
    const tokens = Array.from({ length: 265 }, (_, i) => `token ${i}`);
    const tokenizer = createTokenizer(
      bytePairMetadata({ 'tokenizer.ggml.tokens': tokens, 'tokenizer.ggml.merges': [] }),
    );
    expect(() => tokenizer.encode('漢')).toThrow(/PL4203 LLM_TEXT_UNENCODABLE/);
  });

  it.each([
    ['by its name', 'unk', 7],
    ['first', 'something', 0],
  ])('of SentencePiece that does not mark the unknown token has it %s', (_, name, id) => {
    const tokens = [...(bytePairMetadata().get('tokenizer.ggml.tokens') as string[])].with(7, `<${name}>`);
    const tokenizer = createTokenizer(
      bytePairMetadata({
        ...spm,
        'tokenizer.ggml.tokens': tokens,
        'tokenizer.ggml.scores': new Float32Array(265),
        'tokenizer.ggml.add_space_prefix': false,
      }),
    );
    expect(tokenizer.encode('漢', { addSpecial: false })).toEqual([id]);
  });
});
