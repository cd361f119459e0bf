import { afterAll, expect, it } from 'vitest';
import { family } from '../unit/llm/tensor/members.js';
import { cutsOf, MembersAgainstOne, TINY, WIDE } from '../unit/llm/tensor/same-as-one.js';

const members = new MembersAgainstOne();
afterAll(() => members.threads.close());

it.each([
  ['tiny-stories', TINY, 2],
  ['tiny-stories', TINY, 4],
  ['wide heads', WIDE, 2],
  ['wide heads', WIDE, 8],
] as const)('%s gives the bits of one board, cut in any way', (_, source, count) =>
  members.expectSameOfAllCuts(source, count),
);

it.each([
  'gemma3-f16.gguf',
  'gpt2-f16.gguf',
  'granite-f16.gguf',
  'phi3-f16.gguf',
  'qwen2-f16.gguf',
  'qwen3-f16.gguf',
  'smollm-d96-Q5_K_M.gguf',
  'smollm3-f16.gguf',
  'stablelm-f16.gguf',
  'starcoder2-f16.gguf',
])('%s gives them, too', async (file) => {
  const source = family(file);
  expect(await members.expectSame({ source, cut: cutsOf(source, 2)[1] })).toHaveLength(2);
});

it.each([2, 4])('an engine generates the same with keys and values as halves on %i', (count) =>
  members.expectSameTokens(count, 'f16'),
);
