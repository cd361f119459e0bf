import { describe, it } from 'vitest';
import {
  areTheSameInterleaved,
  haveTheLeastTokens,
  mergesAsIfNotCut,
  pauseOften,
  VOCABULARIES,
} from '../unit/llm/tokenizer/pause-properties.js';

describe.each(VOCABULARIES)('texts of %s', (_, make) => {
  it('become the same tokens whatever is done in between', () => areTheSameInterleaved(make(), 300));

  it('never have fewer tokens than their bytes say', () => haveTheLeastTokens(make(), 1_000));

  it('of great length pause at least after so many characters, also within a word', () =>
    pauseOften(make(), 200_000));
});

it('a vocabulary whose tokens hold spaces anywhere merges what it would merge if the text were not cut', () => {
  mergesAsIfNotCut(2_000);
});
