import { describe, expect, it } from 'vitest';
import type { EncodeOptions } from '../../../../llm/tokenizer/index.js';
import { NAME_BREAK } from '../../../../llm/tokenizer/special-tokens.js';
import {
  areTheSameInterleaved,
  haveTheLeastTokens,
  mergesAsIfNotCut,
  pauseOften,
  stripping,
  VOCABULARIES,
} from './pause-properties.js';

// test/long has many more of each.
describe.each(VOCABULARIES)('texts of %s', (_, make) => {
  const tokenizer = make();
  const work = (text: string, options?: EncodeOptions, most?: number) =>
    tokenizer.encodePausably(text, options, most);

  it('become the same tokens whatever is done in between', () => areTheSameInterleaved(tokenizer, 60));

  it('never have fewer tokens than their bytes say', () => haveTheLeastTokens(tokenizer, 200));

  it('of great length pause at least after so many characters, also within a word', () =>
    pauseOften(tokenizer, 40_000));

  it('stop after the first tokens over a limit', () => {
    const text = 'hello\n'.repeat(20_000);
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
  it('merges what it would merge if the text were not cut', () => mergesAsIfNotCut(400));
});
