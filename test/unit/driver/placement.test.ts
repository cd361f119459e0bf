import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../board/description-file.js';
import { emptyMemory, planPlacement } from '../../../driver/placement.js';
import { GgmlType } from '../../../gguf/types.js';

const z1 = loadBoardDescription('pynq-z1');
const v1 = loadBoardDescription('pynq-z1-v1');
const MIB = 1024 * 1024;

function memory(free: number) {
  return { total: 128 * MIB, free, largestFree: free };
}

function tensor(name: string, type: GgmlType, rows: number, columns: number, priority = 0) {
  return { name, type, rows, columns, priority };
}

describe('placement', () => {
  it('keeps what fits in DMA memory and stages the rest, with reasons', () => {
    const { tensors, totals, dmaMemory } = planPlacement(z1, memory(4 * MIB), [
      tensor('a', GgmlType.Q3_K, 4096, 2048),
      tensor('b', GgmlType.Q3_K, 4096, 2048),
    ]);
    expect(tensors.map(({ placement }) => placement)).toEqual(['resident', 'staged']);
    // A line more a tile for its header and COMPUTE.
    expect(tensors[0].bytes).toBe(32 * (1024 * 112 + 64));
    expect(tensors[1].reason).toMatch(/needs 3672064 bytes of DMA memory, the largest free piece has 522240/);
    expect(totals.staged).toEqual({ tensors: 1, bytes: tensors[1].bytes, weights: 4096 * 2048 });
    expect(dmaMemory.free).toBe(4 * MIB - tensors[0].bytes);
  });

  it('gives the room to the higher priority first and keeps the order of the report', () => {
    const { tensors } = planPlacement(z1, memory(4 * MIB), [
      tensor('a', GgmlType.Q3_K, 4096, 2048),
      tensor('b', GgmlType.Q3_K, 4096, 2048, 1),
    ]);
    expect(tensors.map(({ name, placement }) => [name, placement])).toEqual([
      ['a', 'staged'],
      ['b', 'resident'],
    ]);
  });

  it('tells the core cycles of a token of TinyLlama-1.1B in Q3_K_S, in both timings and at both speeds of the unpacker', () => {
    const layers = Array.from({ length: 22 }, () => [
      ...[2048, 256, 256, 2048, 5632, 5632].map((rows) => tensor('m', GgmlType.Q3_K, rows, 2048)),
      tensor('down', GgmlType.Q3_K, 2048, 5632),
    ]).flat();
    const model = [...layers, tensor('output', GgmlType.Q6_K, 32_000, 2048)];
    const cyclesOn = (timing: 'synthesised' | 'systemc') =>
      planPlacement({ ...loadBoardDescription('kv260'), timing }, memory(64 * MIB), model).tokenCycles;
    const { words, hls } = cyclesOn('synthesised');
    expect([words / 1e6, hls / 1e6].map((cycles) => cycles.toFixed(1))).toEqual(['107.6', '127.6']);
    const published = cyclesOn('systemc');
    expect((published.words / 1e6).toFixed(1)).toBe('34.1');
    expect(published.hls).toBe(published.words);
    expect(planPlacement(z1, memory(64 * MIB), [tensor('cpu', GgmlType.F16, 8, 256)]).tokenCycles).toEqual({
      words: 0,
      hls: 0,
    });
  });

  it.each([
    ['F16', tensor('t', GgmlType.F16, 8, 256), /Q2_K to Q6_K, not F16/],
    [
      'a K that is not whole super-blocks',
      tensor('t', GgmlType.Q4_K, 8, 288),
      /K = 288 is not a multiple of 256/,
    ],
    [
      'a row longer than the input memory',
      tensor('t', GgmlType.Q4_K, 8, 513 * 256),
      /513 super-blocks is longer than the 512/,
    ],
  ])('leaves %s to the CPU and says why', (_, refused, reason) => {
    const [placed] = planPlacement(z1, memory(64 * MIB), [refused]).tensors;
    expect(placed).toMatchObject({ placement: 'cpu', bytes: 0 });
    expect(placed.reason).toMatch(reason);
  });

  it('leaves a type that the bitstream was built without to the CPU', () => {
    const [placed] = planPlacement({ ...z1, weightTypes: [3] }, memory(64 * MIB), [
      tensor('t', GgmlType.Q6_K, 8, 256),
    ]).tensors;
    expect(placed.reason).toBe('the bitstream was built without Q6_K');
  });

  it.each([GgmlType.Q4_K, GgmlType.Q5_K])('leaves type %i to the CPU on v1, which has a fault', (type) => {
    const [placed] = planPlacement(v1, memory(64 * MIB), [tensor('t', type, 8, 256)]).tensors;
    expect(placed.placement).toBe('cpu');
    expect(placed.reason).toMatch(/scale bit 6 stays stale/);
  });

  it('never puts a tensor across two regions of DMA memory', () => {
    const description = {
      ...z1,
      dmaMemory: [
        { base: 0x1000_0000, size: 3 * MIB },
        { base: 0x2000_0000, size: 4 * MIB },
      ],
    };
    const big = tensor('t', GgmlType.Q3_K, 4096, 2048);
    const { tensors } = planPlacement(description, { total: 7 * MIB, free: 7 * MIB, largestFree: 4 * MIB }, [
      big,
      { ...big, name: 'u' },
    ]);
    expect(tensors.map(({ placement }) => placement)).toEqual(['resident', 'staged']);
  });

  it('knows what is free before anything is loaded', () => {
    const { total, free } = emptyMemory(z1);
    expect(total).toBe(128 * MIB);
    expect(total - free).toBeLessThan(3 * MIB);
  });
});
