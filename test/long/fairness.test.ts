import { describe, expect, it } from 'vitest';
import { TIMINGS } from '../unit/llm/scheduling/timings.js';
import { HOW, hasNoMoreThanAThird, partsOf, WHAT } from '../unit/llm/scheduling/users.js';

/** Of the smaller of its demand and an equal share. */
const LEAST = 0.8;

describe.each(TIMINGS)('in the $timing timing', (timing) => {
  describe('eight users, one with 100 requests in flight: each modest one has 80 % of the smaller of its demand and an equal share', () => {
    // One request at a time uses a column of each step, however few others the step has: beside long prompts that is less.
    const cases: readonly (readonly [keyof typeof HOW, keyof typeof WHAT])[] = [
      ['under one name', 'one request at a time'],
      ['under one name', 'more to do than there is room for'],
      ['under one name', 'various demands'],
      ['that calls itself anew with every request', 'one request at a time'],
      ['that calls itself anew with every request', 'various demands'],
      ['in a hundred sessions', 'more to do than there is room for'],
      ['with long answers', 'a request each half minute'],
      ['with long answers', 'more to do than there is room for'],
      ['with long prompts', 'a request each half minute'],
      ['with long prompts', 'more to do than there is room for'],
      ['with long prompts', 'a request each minute'],
      ['with the highest priority', 'one request at a time'],
      ['with the highest priority', 'more to do than there is room for'],
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
    it.each([2, 5])('by %i names has no more of the board than without any', (names) =>
      hasNoMoreThanAThird(names, timing),
    );
  });
});
