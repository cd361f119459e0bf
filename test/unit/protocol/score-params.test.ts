import { describe, expect, it } from 'vitest';
import { METHODS } from '../../../protocol/methods.js';

const accepted = (tokens: number, top: number, from?: number) =>
  METHODS.score.params.safeParse({
    model: 'a'.repeat(64),
    tokens: Array<number>(tokens).fill(1),
    topLogprobs: top,
    ...(from === undefined ? {} : { from }),
  }).success;

describe('a request for scores', () => {
  it.each([
    [2_048, 40, undefined],
    [1_351, 64, undefined],
    [131_000, 0, undefined],
    [131_000, 64, 130_000],
  ])('of %i tokens with the %i likeliest from %s on is accepted', (tokens, top, from) => {
    expect(accepted(tokens, top, from)).toBe(true);
  });

  it.each([
    [1_352, 64, undefined],
    [131_000, 1, undefined],
    [131_000, 64, 100_000],
  ])(
    'of %i tokens with the %i likeliest from %s on is refused: its answer would fit no frame',
    (tokens, top, from) => {
      expect(accepted(tokens, top, from)).toBe(false);
    },
  );
});
