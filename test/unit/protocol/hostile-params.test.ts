import { expect, it } from 'vitest';
import { z } from 'zod';
import { isPynqLlmError } from '../../../errors/index.js';
import {
  decodeFrame,
  encodeFrame,
  list,
  MAX_PROMPT_TOKENS,
  type MethodName,
} from '../../../protocol/index.js';
import { METHODS } from '../../../protocol/methods.js';
import { checkParams } from '../../../protocol/validate.js';

const model = 'a'.repeat(64);
const generation = (prompt: unknown, sampling: unknown = {}) => ({
  generation: 'b'.repeat(32),
  model,
  prompt,
  sampling,
  window: 1,
});
const many = (count: number, entry: unknown) => Array.from({ length: count }, () => entry);
const wide = Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`key${i}`, i]));
/** Refused with its path; the rest of it is of no interest to anybody. */
const CASES: readonly (readonly [string, MethodName, unknown, RegExp])[] = [
  [
    'a prompt of no tokens',
    'generate.start',
    generation({ tokens: many(MAX_PROMPT_TOKENS, -1) }),
    /tokens\.0/,
  ],
  [
    'texts for tokens to go on after',
    'generate.start',
    { ...generation({ text: '' }), continueFrom: many(MAX_PROMPT_TOKENS, '') },
    /continueFrom\.0/,
  ],
  [
    'a prompt and tokens to go on after that are too many together',
    'generate.start',
    { ...generation({ tokens: many(MAX_PROMPT_TOKENS, 1) }), continueFrom: [1] },
    /together/,
  ],
  ['texts for tokens', 'models.detokenize', { model, tokens: many(MAX_PROMPT_TOKENS, '') }, /tokens\.0/],
  ['fractions for tokens', 'models.pieces', { model, tokens: many(MAX_PROMPT_TOKENS, 0.5) }, /tokens\.0/],
  [
    'nothing to score',
    'score',
    { model, topLogprobs: 0, tokens: many(MAX_PROMPT_TOKENS, null) },
    /tokens\.0/,
  ],
  ['too many tokens', 'models.detokenize', { model, tokens: many(MAX_PROMPT_TOKENS + 1, 0) }, /tokens: /],
  ['tensors that are none', 'models.plan', { tensors: many(16_384, {}) }, /tensors\.0\.name/],
  ['tensors with other fields', 'models.plan', { tensors: many(2_000, wide) }, /tensors\.0\.name/],
  [
    'messages with other fields',
    'models.applyTemplate',
    { model, messages: many(1_000, wide) },
    /messages\.0/,
  ],
  [
    'biases of nothing',
    'generate.start',
    generation({ text: '' }, { logitBias: many(1_024, wide) }),
    /logitBias\.0/,
  ],
  ['registers that are none', 'registers.read', { registers: many(1_024, wide) }, /registers\.0/],
];

it.each(CASES)('%s are told of once', (_, method, params, path) => {
  const { error } = METHODS[method].params.safeParse(params);
  // A union has an issue for each of its forms.
  expect(error?.issues.length).toBeLessThanOrEqual(4);
  expect(() => checkParams(method, params)).toThrow(path);
});

it('a frame with a map of very many keys is refused before it is built', () => {
  const map = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`key${i}`, i]));
  expect(() => decodeFrame(encodeFrame({ id: 1, method: 'board.info', params: map }))).toThrow(/1024 keys/);
});

it('an error tells the beginning of what it quotes', () => {
  try {
    checkParams('board.info', { ['x'.repeat(1_000_000)]: 1 });
  } catch (error) {
    expect(isPynqLlmError(error, 'PROTOCOL_BAD_PARAMS')).toBe(true);
    expect(String(error).length).toBeLessThan(1_000);
    return;
  }
  expect.unreachable();
});

it('a list is checked as far as its first wrong entry, and gives what its entries become', () => {
  let looks = 0;
  const entry = z.strictObject({ even: z.number().refine((value) => ++looks > 0 && value % 2 === 0, 'odd') });
  const of = (...values: number[]) => values.map((even) => ({ even }));
  expect(list(entry, { min: 1, max: 3 }).parse(of(2, 4))).toEqual(of(2, 4));
  expect(looks).toBe(2);
  const { error } = list(entry, { min: 1, max: 1_000 }).safeParse(of(2, 3, ...(many(500, 3) as number[])));
  expect(looks).toBe(4);
  expect(error?.issues).toMatchObject([{ path: [1, 'even'], message: 'odd' }]);
  expect(list(entry, { min: 1, max: 3 }).safeParse(of(2, 2, 2, 2)).success).toBe(false);
  expect(list(entry, { min: 1, max: 3 }).safeParse([]).success).toBe(false);
  expect(looks).toBe(4);
});
