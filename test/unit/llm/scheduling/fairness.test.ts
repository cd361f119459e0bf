import { describe, expect, it } from 'vitest';
import { TIMINGS } from './timings.js';
import { columnsOf, HOW, partsOf, type User, WHAT } from './users.js';

// test/long has the other pairs.
/** Of the smaller of its demand and an equal share. */
const LEAST = 0.8;

describe.each(TIMINGS)('in the $timing timing', (timing) => {
  describe('eight users, one with 100 requests in flight: each modest one has 80 % of the smaller of its demand and an equal share', () => {
    const cases: readonly (readonly [keyof typeof HOW, keyof typeof WHAT])[] = [
      ['under one name', 'a request each half minute'],
      ['with long answers', 'more to do than there is room for'],
      ['with long prompts', 'a request each half minute'],
      ['with many short requests', 'a request each half minute'],
    ];
    it.each(cases)(
      '%s, beside users with %s',
      (how, what) => {
        expect(Math.min(...partsOf(HOW[how], WHAT[what], timing))).toBeGreaterThanOrEqual(LEAST);
      },
      120_000,
    );
  });

  describe('a client that divides its share', () => {
    const other: User = { client: 'other', inFlight: 10, promptTokens: 100, outputTokens: 30 };

    it.each([1, 2, 5, 40])('by %i names has no more of the board than without any', (names) => {
      const share = { ...other, client: 'share', inFlight: 40 };
      const columns = columnsOf(
        [{ ...share, nameOf: (i) => `name ${i % names}` }, other, { ...other, client: 'third' }],
        timing,
      );
      const all = [...columns.values()].reduce((sum, one) => sum + one, 0);
      const request = share.promptTokens + share.outputTokens;
      expect(Math.abs(columns.get('share')! - all / 3)).toBeLessThan(0.02 * all + request);
    });
  });
});
