import fc from 'fast-check';
import { expect } from 'vitest';
import { PAUSE_AFTER } from '../../../../constraint/pausable.js';
import type { GgufValue } from '../../../../gguf/index.js';
import { createTokenizer, type Tokenizer } from '../../../../llm/tokenizer/index.js';
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
export const stripping = () => createTokenizer(bytePairMetadata({ 'general.name': 'phi-3' }));
export const VOCABULARIES: [string, () => Tokenizer][] = [
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

/** Fails unless texts become the same tokens whatever is done in between. @param numRuns so many lists of texts */
export function areTheSameInterleaved(tokenizer: Tokenizer, numRuns: number): void {
  const property = fc.property(fc.array(fc.tuple(anyText, anyOptions)), (texts) => {
    const alone = texts.map(([text, options]) => tokenizer.encode(text, options));
    const together = texts.map(([text, options]) => tokenizer.encodePausably(text, options));
    const ids: (number[] | undefined)[] = texts.map(() => undefined);
    while (ids.includes(undefined))
      for (const [i, one] of together.entries()) {
        const { done, value } = one.next();
        if (done && value !== undefined) ids[i] = value;
      }
    expect(ids).toEqual(alone);
  });
  fc.assert(property, { numRuns });
}

/** Fails if a text has fewer tokens than its bytes say. @param numRuns so many texts */
export function haveTheLeastTokens(tokenizer: Tokenizer, numRuns: number): void {
  const property = fc.property(anyText, anyOptions, (text, options) => {
    const tokens = tokenizer.encode(text, options).length;
    expect(tokenizer.leastTokens(text, options)).toBeLessThanOrEqual(tokens);
  });
  fc.assert(property, { numRuns });
}

/** Fails unless long texts pause at least after so many characters, also within a word. @param length in characters */
export function pauseOften(tokenizer: Tokenizer, length: number): void {
  for (const text of ['a'.repeat(length), ' '.repeat(length), 'a\n'.repeat(length / 2)]) {
    let pauses = 0;
    for (const _ of tokenizer.encodePausably(text)) pauses++;
    expect(pauses).toBeGreaterThan(text.length / PAUSE_AFTER / 2);
  }
}

/** Fails if cutting a text changes what a vocabulary of any pieces merges. @param numRuns so many vocabularies */
export function mergesAsIfNotCut(numRuns: number): void {
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
  fc.assert(property, { numRuns });
}
