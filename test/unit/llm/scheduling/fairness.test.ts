import { describe, expect, it } from 'vitest';
import { TIMINGS } from './timings.js';
import { HOW, hasNoMoreThanAThird, partsOf, WHAT } from './users.js';

// test/long has the other pairs, and other numbers of names.
/** Of the smaller of its demand and an equal share. */
const LEAST = 0.8;

describe.each(TIMINGS)('in the $timing timing', (timing) => {
  describe('eight users, one with 100 requests in flight: each modest one has 80 % of the smaller of its demand and an equal share', () => {
    const cases: readonly (readonly [keyof typeof HOW, keyof typeof WHAT])[] = [
      ['under one name', 'a request each half minute'],
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
    it.each([1, 40])('by %i names has no more of the board than without any', (names) =>
      hasNoMoreThanAThird(names, timing),
    );
  });
});
