import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rowsPerTile, tileLayout } from '../../../driver/tile.js';
import { CORE_TYPES } from '../../../gguf/types.js';

const revision = fc.constantFrom('v1' as const, 'v3' as const);
const coreType = fc.constantFrom(...CORE_TYPES);

describe('a tile', () => {
  it('has as many rows as the weight memory takes', () => {
    expect([1, 3, 8, 22, 1024].map((kb) => rowsPerTile(kb, 1024))).toEqual([1024, 341, 128, 46, 1]);
  });

  it('has lanes that start on cache lines and do not overlap', () => {
    fc.assert(
      fc.property(
        revision,
        coreType,
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 10 }),
        (rev, type, kb, rows) => {
          let end = 0;
          for (const lane of tileLayout(rev, type, kb, rows).lanes) {
            expect(lane.offset % 64).toBe(0);
            expect(lane.offset).toBeGreaterThanOrEqual(end);
            end = lane.offset + lane.bytes;
          }
        },
      ),
    );
  });

  it('has the longest transfers that the manual gives', () => {
    const q6 = tileLayout('v3', 6, 1, 1024);
    expect(q6.lanes.map(({ bytes }) => bytes)).toEqual([
      (12 + 53 * 256) * 4,
      53 * 256 * 4,
      53 * 256 * 4,
      53 * 256 * 4,
    ]);
  });
});
