import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PAUSE_AFTER } from '../../../../constraint/pausable.js';
import type { GgufValue } from '../../../../gguf/index.js';
import { createTokenizer, type EncodeOptions, type Tokenizer } from '../../../../llm/tokenizer/index.js';
import { NAME_BREAK } from '../../../../llm/tokenizer/special-tokens.js';
import { bytePairMetadata, tinyStories } from './vocabularies.js';

/** A SentencePiece vocabulary of a few letters, whose tokens may hold spaces anywhere, without byte tokens. */
function lettersMetadata(pieces: ReadonlyMap<string, number>): Map<string, GgufValue> {
  const tokens = ['<unk>', '<s>', ...pieces.keys()];
  return new Map<string, GgufValue>([
    ['tokenizer.ggml.model', 'llama'],
    ['tokenizer.ggml.tokens', tokens],
    ['tokenizer.ggml.scores', Float64Array.from([0, 0, ...pieces.values()])],
    ['tokenizer.ggml.token_type', Int32Array.from(tokens, (_, id) => [2, 3][id] ?? 1)],
    ['tokenizer.ggml.add_bos_token', false],
    ['tokenizer.ggml.bos_token_id', 1],
  ]);
}

/** What the tokenizer has to give, without cutting the text first: the best pair of all merges, again and again. */
function mergeWhole(text: string, pieces: ReadonlyMap<string, number>): number[] {
  const ids = new Map([...pieces.keys()].map((piece, i) => [piece, i + 2]));
  const symbols = [...` ${text}`.replaceAll(' ', '\u2581')];
  for (;;) {
    const scores = symbols.slice(1).map((right, i) => pieces.get(symbols[i] + right) ?? Number.NaN);
    const best = scores.reduce((found, score, i) => (score > (scores[found] ?? -Infinity) ? i : found), -1);
    if (best < 0) return symbols.map((symbol) => ids.get(symbol) ?? 0);
    symbols.splice(best, 2, symbols[best] + symbols[best + 1]);
  }
}

/** As phi-3: white space after special tokens is dropped. */
const stripping = () => createTokenizer(bytePairMetadata({ 'general.name': 'phi-3' }));
const VOCABULARIES: [string, () => Tokenizer][] = [
  ['SentencePiece', tinyStories],
  ['byte pairs', () => createTokenizer(bytePairMetadata())],
  ['byte pairs of words', () => createTokenizer(bytePairMetadata({ 'tokenizer.ggml.pre': 'llama-bpe' }))],
  ['byte pairs that drop white space', stripping],
];
const anyText = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(
        '<|user|>',
        '<|start_story|>',
        '<tool>',
        '\n',
        '   ',
        'hello',
        NAME_BREAK,
        '\u2581\u2581',
      ),
    ),
  )
  .map((parts) => parts.join(''));
const anyOptions = fc.record({ parseSpecial: fc.boolean(), addSpecial: fc.boolean() });

describe.each(VOCABULARIES)('texts of %s', (_, make) => {
  const tokenizer = make();
  const work = (text: string, options?: EncodeOptions, most?: number) =>
    tokenizer.encodePausably(text, options, most);

  it('become the same tokens whatever is done in between', () => {
    const property = fc.property(fc.array(fc.tuple(anyText, anyOptions)), (texts) => {
      const alone = texts.map(([text, options]) => tokenizer.encode(text, options));
      const together = texts.map(([text, options]) => work(text, options));
      const ids: (number[] | undefined)[] = texts.map(() => undefined);
      while (ids.includes(undefined))
        for (const [i, one] of together.entries()) {
          const { done, value } = one.next();
          if (done && value !== undefined) ids[i] = value;
        }
      expect(ids).toEqual(alone);
    });
    fc.assert(property, { numRuns: 300 });
  });

  it('never have fewer tokens than their bytes say', () => {
    const property = fc.property(anyText, anyOptions, (text, options) => {
      const tokens = tokenizer.encode(text, options).length;
      expect(tokenizer.leastTokens(text, options)).toBeLessThanOrEqual(tokens);
    });
    fc.assert(property, { numRuns: 1_000 });
  });

  it('of great length pause at least after so many characters, also within a word', () => {
    for (const text of ['a'.repeat(200_000), ' '.repeat(200_000), 'a\n'.repeat(100_000)]) {
      let pauses = 0;
      for (const _ of work(text)) pauses++;
      expect(pauses).toBeGreaterThan(text.length / PAUSE_AFTER / 2);
    }
  });

  it('stop after the first tokens over a limit', () => {
    const text = 'hello\n'.repeat(100_000);
    let pauses = 0;
    const some = work(text, {}, 100);
    let next = some.next();
    for (; !next.done; next = some.next()) pauses++;
    expect(next.value?.length).toBeGreaterThan(100);
    expect(next.value).toEqual(tokenizer.encode(text).slice(0, next.value?.length));
    expect(pauses).toBeLessThan(10);
  });
});

describe('a megabyte', () => {
  it('has as many tokens at least as its bytes fill pieces, also where half of it may be dropped', () => {
    const tokenizer = stripping();
    const name = '<|user|>';
    expect(tokenizer.leastTokens('a'.repeat(1_048_576))).toBe(Math.ceil(1_048_576 / 10));
    expect(tokenizer.leastTokens(`${name}${' '.repeat(1_048_576)}`, { parseSpecial: true })).toBe(1);
    expect(tokenizer.leastTokens(NAME_BREAK.repeat(1_048_576), { parseSpecial: true })).toBe(0);
  });
});

describe('a vocabulary whose tokens hold spaces anywhere', () => {
  it('merges what it would merge if the text were not cut', () => {
    const piece = fc.string({
      unit: fc.constantFrom('a', 'b', '\u2581', '\u{1f600}'),
      minLength: 1,
      maxLength: 4,
    });
    const anyPieces = fc.array(fc.tuple(piece, fc.integer({ min: -5, max: 0 })), { maxLength: 20 });
    const text = fc.string({
      unit: fc.constantFrom('a', 'b', ' ', '\u{1f600}', 'c'),
      minLength: 1,
      maxLength: 40,
    });
    const property = fc.property(anyPieces, text, (entries, said) => {
      const pieces = new Map<string, number>([...entries, ['a', -9], ['\u2581', -9]]);
      const tokenizer = createTokenizer(lettersMetadata(pieces));
      expect(tokenizer.encode(said)).toEqual(mergeWhole(said, pieces));
    });
    fc.assert(property, { numRuns: 2_000 });
  });
});
