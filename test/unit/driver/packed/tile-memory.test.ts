import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packedTile } from '../../../../driver/packed/packed-tile.js';
import { TileMemory } from '../../../../driver/packed/tile-memory.js';
import { CORE_BLOCK_BYTES, CORE_TYPES, CORE_WORDS } from '../../../../gguf/types.js';

const lanes = fc.constantFrom(1, 4);
const coreType = fc.constantFrom(...CORE_TYPES);
const blocks = fc.integer({ min: 1, max: 90 });

describe('packing a tile', () => {
  it('puts block i into lane i mod lanes, padded to whole words with zeros, and zeros between lanes', () => {
    fc.assert(
      fc.property(lanes, coreType, blocks, fc.integer(), (laneCount, type, count, seed) => {
        const blockBytes = CORE_BLOCK_BYTES[type];
        const memory = TileMemory.of(90);
        // What another tile left there must not show.
        memory.tile(packedTile(4, 6, 90).bytes).fill(0xaa);
        const source = Uint8Array.from({ length: count * blockBytes }, (_, i) => 1 + ((i * 7 + seed) & 127));
        memory.rows(source.length).set(source);
        const layout = packedTile(laneCount, type, count);
        const expected = new Uint8Array(layout.bytes);
        for (let block = 0; block < count; block++) {
          const { offset } = layout.lanes[block % laneCount];
          expected.set(
            source.subarray(block * blockBytes, (block + 1) * blockBytes),
            offset + Math.floor(block / laneCount) * CORE_WORDS[type] * 4,
          );
        }
        expect(Buffer.compare(memory.pack(type, layout), expected)).toBe(0);
      }),
    );
  });

  it('starts every lane on a cache line, none over another', () => {
    fc.assert(
      fc.property(lanes, coreType, blocks, (laneCount, type, count) => {
        let end = 0;
        for (const { offset, bytes } of packedTile(laneCount, type, count).lanes) {
          expect(offset % 64).toBe(0);
          expect(offset).toBeGreaterThanOrEqual(end);
          end = offset + bytes;
        }
      }),
    );
  });
});

/** Four streams of words, each with XXH32's round; from the round's definition, in JavaScript. */
function expectedChecksum(bytes: Uint8Array): Uint8Array {
  const words = new Uint32Array(bytes.slice().buffer);
  const sums = new Uint32Array(4);
  words.forEach((word, i) => {
    const sum = (sums[i % 4] + Math.imul(word, 0x85ebca77)) | 0;
    sums[i % 4] = Math.imul((sum << 13) | (sum >>> 19), 0x9e3779b1);
  });
  return new Uint8Array(sums.buffer);
}

describe('a checksum', () => {
  const memory = TileMemory.of(90);
  const checksumOf = (...pieces: Uint8Array[]) => {
    const checksum = new Uint8Array(16);
    for (const piece of pieces) {
      memory.tile(piece.length).set(piece);
      memory.takeChecksum(checksum, piece.length);
    }
    return checksum;
  };
  const random = fc.uint8Array({ minLength: 64, maxLength: 640 }).map((b) => b.slice(0, b.length & ~63));

  it('is that of its definition, in one piece or several', () => {
    fc.assert(
      fc.property(random, (bytes) => {
        expect(checksumOf(bytes)).toEqual(expectedChecksum(bytes));
        expect(checksumOf(bytes.subarray(0, 64), bytes.subarray(64))).toEqual(expectedChecksum(bytes));
      }),
    );
  });

  it('sees every changed bit, and lines in another order', () => {
    fc.assert(
      fc.property(random, fc.nat(), (bytes, bit) => {
        const changed = bytes.slice();
        changed[(bit >> 3) % bytes.length] ^= 1 << (bit & 7);
        expect(checksumOf(changed)).not.toEqual(checksumOf(bytes));
      }),
    );
    const lines = Uint8Array.from({ length: 128 }, (_, i) => i);
    expect(checksumOf(lines.subarray(64), lines.subarray(0, 64))).not.toEqual(checksumOf(lines));
  });
});
