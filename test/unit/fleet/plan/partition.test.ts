import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { partition } from '../../../../fleet/plan/partition.js';
import { cutRows } from '../../../../fleet/plan/row-cut.js';

const board = fc.record({ speed: fc.integer({ min: 1, max: 5 }), room: fc.integer({ min: 1, max: 8 }) });
type Board = { readonly speed: number; readonly room: number };

/** All ways to give layers from..layers-1 to these boards in any order; the slowest stage of the best. */
function exhaustive(costs: readonly number[], boards: readonly Board[], from = 0): number {
  if (boards.length === 0) return from === costs.length ? 0 : Number.POSITIVE_INFINITY;
  let best = Number.POSITIVE_INFINITY;
  for (const [i, { speed, room }] of boards.entries())
    for (let to = from + 1; to <= Math.min(costs.length, from + room); to++) {
      const own = costs.slice(from, to).reduce((sum, cost) => sum + cost, 0) / speed;
      best = Math.min(best, Math.max(own, exhaustive(costs, boards.toSpliced(i, 1), to)));
    }
  return best;
}

describe('a partition', () => {
  it('is as fast as any, and says where there is none', () => {
    const layers = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 7 });
    fc.assert(
      fc.property(layers, fc.array(board, { minLength: 1, maxLength: 3 }), (costs, boards) => {
        const cost = ({ speed }: Board, from: number, to: number) =>
          costs.slice(from, to).reduce((sum, one) => sum + one, 0) / speed;
        const found = partition<Board>(
          costs.length,
          boards.map((one) => ({ board: one, count: 1 })),
          cost,
          ({ room }, from, to) => to - from <= room,
        );
        const best = exhaustive(costs, boards);
        if (found === undefined) {
          expect(best).toBe(Number.POSITIVE_INFINITY);
          return;
        }
        expect(Math.max(...found.map(({ board: of, from, to }) => cost(of, from, to)))).toBe(best);
        expect(found.reduce((next, { from, to }) => (from === next && to > from ? to : -1), 0)).toBe(
          costs.length,
        );
      }),
    );
  });
});

describe('rows cut by weights', () => {
  it('are each in one piece, in whole units, within a unit of the weights', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        weights,
        fc.constantFrom(1, 64, 256),
        (rows, of, unit) => {
          const pieces = cutRows(rows, of, unit);
          const all = of.reduce((sum, weight) => sum + weight, 0);
          let next = 0;
          for (const [i, { first, count }] of pieces.entries()) {
            expect(first).toBe(next);
            next += count;
            if (next < rows) expect(count % unit).toBe(0);
            expect(Math.abs(count - (rows * of[i]!) / all)).toBeLessThan(2 * unit);
          }
          expect(next).toBe(rows);
        },
      ),
    );
  });
});
