import fc from 'fast-check';
import { expect, it } from 'vitest';
import { RegionAllocator } from '../../../board/region-allocator.js';

const REGIONS = [
  { base: 0x1000, size: 4096 },
  { base: 0x8000, size: 10_000 },
];

interface Piece {
  readonly physicalAddress: number;
  readonly byteLength: number;
}

it('whatever is allocated and freed, pieces are aligned, within a region and apart, and the rest is counted', () => {
  const step = fc.oneof(
    fc.record({ bytes: fc.integer({ min: 1, max: 3000 }), align: fc.constantFrom(1, 64, 1024) }),
    fc.record({ free: fc.nat(20) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const allocator = new RegionAllocator<(typeof REGIONS)[0], Piece>(REGIONS);
      const pieces: Piece[] = [];
      for (const action of steps) {
        if ('free' in action) {
          for (const piece of pieces.splice(action.free, 1)) allocator.release(piece);
          continue;
        }
        try {
          const piece = allocator.allocate(action.bytes, action.align, (physicalAddress, region, offset) => {
            expect(physicalAddress).toBe(region.base + offset);
            return { physicalAddress, byteLength: action.bytes };
          });
          expect(piece.physicalAddress % action.align).toBe(0);
          pieces.push(piece);
        } catch {
          expect(allocator.usage().largestFree).toBeLessThan(action.bytes + action.align);
        }
      }
      const sorted = pieces.toSorted((a, b) => a.physicalAddress - b.physicalAddress);
      for (const [i, { physicalAddress, byteLength }] of sorted.entries()) {
        const end = physicalAddress + byteLength;
        expect(REGIONS.some(({ base, size }) => physicalAddress >= base && end <= base + size)).toBe(true);
        expect(end).toBeLessThanOrEqual(sorted[i + 1]?.physicalAddress ?? end);
        expect(allocator.bufferAt(physicalAddress + byteLength - 1, 1)).toBe(sorted[i]);
      }
      const used = pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
      expect(allocator.usage().free).toBe(allocator.usage().total - used);
    }),
  );
});

it('releasing a piece twice does not release its successor', () => {
  const allocator = new RegionAllocator<(typeof REGIONS)[0], Piece>(REGIONS);
  const make = () => allocator.allocate(64, 64, (physicalAddress) => ({ physicalAddress, byteLength: 64 }));
  const first = make();
  allocator.release(first);
  const second = make();
  allocator.release(first);
  expect(allocator.bufferAt(second.physicalAddress, 64)).toBe(second);
});

it('a piece is where it is asked for, if all of that is free, aligned and in one region, and nowhere else', () => {
  const allocator = new RegionAllocator<(typeof REGIONS)[0], Piece>(REGIONS);
  const [{ base, size }] = REGIONS;
  const make = (at: number, byteLength = 64) =>
    allocator.allocate(byteLength, 64, (physicalAddress) => ({ physicalAddress, byteLength }), at);
  const { free } = allocator.usage();
  expect(make(base + 128).physicalAddress).toBe(base + 128);
  for (const [at, bytes] of [
    [base + 128, 64],
    [base + 64, 128],
    [base + 4, 64],
    [base - 64, 64],
    [base + size - 64, 128],
    [Number.NaN, 64],
    [2 ** 40, 64],
  ])
    expect(() => make(at, bytes)).toThrow(/DRIVER_DMA_MEMORY_FULL/);
  expect(make(base + 64).physicalAddress).toBe(base + 64);
  expect(allocator.usage().free).toBe(free - 128);
});
