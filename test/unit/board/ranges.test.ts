import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Ranges } from '../../../board/ranges.js';

const SIZE = 40;

describe('ranges', () => {
  it('are the set of numbers that were added and not removed', () => {
    const range = fc
      .tuple(fc.integer({ min: 0, max: SIZE - 1 }), fc.integer({ min: 1, max: 12 }))
      .map(([from, length]) => [from, Math.min(SIZE, from + length)] as const);
    const step = fc.record({ add: fc.boolean(), range });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), range, (steps, [from, to]) => {
        const ranges = new Ranges();
        const members = new Array<boolean>(SIZE).fill(false);
        for (const { add, range } of steps) {
          if (add) ranges.add(...range);
          else ranges.remove(...range);
          members.fill(add, ...range);
        }
        const asked = members.slice(from, to);
        expect([ranges.covers(from, to), ranges.overlaps(from, to)]).toEqual([
          asked.every(Boolean),
          asked.some(Boolean),
        ]);
        const within = new Array<boolean>(SIZE).fill(false);
        for (const part of ranges.within(from, to)) within.fill(true, ...part);
        expect(within.slice(from, to)).toEqual(asked);
        expect(within.filter(Boolean)).toHaveLength(asked.filter(Boolean).length);
      }),
    );
  });
});
