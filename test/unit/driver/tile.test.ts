import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packTile, rowsPerTile, tileLayout } from '../../../driver/tile.js';
import { CORE_BLOCK_BYTES, CORE_TYPES, CORE_WORDS } from '../../../gguf/types.js';

const revision = fc.constantFrom('v1' as const, 'v3' as const);
const coreType = fc.constantFrom(...CORE_TYPES);

describe('a tile', () => {
  it('has as many rows as the weight memory takes', () => {
    expect([1, 3, 8, 22, 1024].map((kb) => rowsPerTile(kb, 1024))).toEqual([1024, 341, 128, 46, 1]);
  });

  it('holds block i in lane i mod lanes, padded to whole words with zeros', () => {
    fc.assert(
      fc.property(
        revision,
        coreType,
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        (rev, type, kb, rows) => {
          const layout = tileLayout(rev, type, kb, rows);
          const blockBytes = CORE_BLOCK_BYTES[type];
          const source = Uint8Array.from({ length: rows * kb * blockBytes }, (_, i) => 1 + (i % 255));
          const image = new Uint8Array(64 + layout.bytes).fill(0xaa);
          packTile(type, layout, source, image, 64);
          for (let block = 0; block < rows * kb; block++) {
            const { dataOffset } = layout.lanes[block % layout.lanes.length];
            const at = 64 + dataOffset + Math.floor(block / layout.lanes.length) * CORE_WORDS[type] * 4;
            expect(image.subarray(at, at + blockBytes)).toEqual(
              source.subarray(block * blockBytes, (block + 1) * blockBytes),
            );
            expect(
              [...image.subarray(at + blockBytes, at + CORE_WORDS[type] * 4)].every((byte) => byte === 0),
            ).toBe(true);
          }
        },
      ),
      { numRuns: 40 },
    );
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
