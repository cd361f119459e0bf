import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  computeCycles,
  inputCycles,
  loadCycles,
  matMulComputeCounter,
  matMulCycles,
  slowestCore,
} from '../../../../board/timing/cycles.js';
import type { CoreType } from '../../../../gguf/types.js';

interface Measured {
  cycles: number;
  inputCycles: number;
  tiles: { m: number; mstep: number; load_cycles: number; compute_cycles: number }[];
}
interface Case {
  file: string;
  wgt_type: CoreType;
  M: number;
  N: number;
  kb: number;
  tile_m: number;
  v1: Measured;
  v3: Measured;
}
const { cases }: { cases: Case[] } = JSON.parse(readFileSync('vectors/index.json', 'utf8'));
const counters: { file: string; revision: 'v1' | 'v3'; resident: boolean; cycles: number }[] = JSON.parse(
  readFileSync('vectors/counters.json', 'utf8'),
);

function costOf({ wgt_type, M, N, kb, tile_m }: Case, revision: 'v1' | 'v3') {
  const core = { revision, timing: 'systemc', unpack: 'words' } as const;
  return { core, coreType: wgt_type, kb, rows: M, columns: N, rowsPerTile: tile_m };
}

describe('the cycle formulas', () => {
  it.each(['v1', 'v3'] as const)('give every case of index.json on %s', (revision) => {
    for (const entry of cases) {
      const measured = entry[revision];
      const cost = costOf(entry, revision);
      expect.soft(matMulCycles(cost), entry.file).toBe(measured.cycles);
      expect.soft(inputCycles(cost.core, entry.kb, entry.N)).toBe(measured.inputCycles);
      for (const tile of measured.tiles) {
        expect.soft(loadCycles(cost, tile.mstep), entry.file).toBe(tile.load_cycles);
        expect.soft(computeCycles(cost, tile.mstep), entry.file).toBe(tile.compute_cycles);
      }
    }
  });

  it('give every row of counters.json of weights that come with their header', () => {
    // The driver sends header and COMPUTE with the weights wherever these lie: other rows are of other transfers.
    for (const row of counters.filter(({ resident }) => !resident)) {
      const entry = cases.find(({ file }) => file === row.file);
      expect(entry && matMulCycles(costOf(entry, row.revision)), row.file).toBe(row.cycles);
    }
  });
});

describe('the synthesised core', () => {
  const core = { revision: 'v3', timing: 'synthesised', unpack: 'words' } as const;
  const matrix = (rows: number, kb: number, coreType: CoreType = 3) => ({
    core,
    coreType,
    kb,
    rows,
    columns: 1,
    rowsPerTile: Math.floor(1024 / kb),
  });

  it('computes a token of TinyLlama-1.1B in Q3_K_S in 77,442,432 cycles', () => {
    // Q, K, V, the output of attention, gate, up and down; then the output matrix.
    const layer = [...[2048, 256, 256, 2048, 5632, 5632].map((rows) => matrix(rows, 8)), matrix(2048, 22)];
    const sum = (costs: readonly ReturnType<typeof matrix>[]) =>
      costs.reduce((total, cost) => total + matMulComputeCounter(cost), 0);
    expect(22 * sum(layer) + sum([matrix(32_000, 8, 6)])).toBe(77_442_432);
  });

  it('is bounded by the slowest of its revision: deadlines come from that', () => {
    for (const [kb, rows] of [
      [1, 1024],
      [8, 128],
    ] as const)
      for (const unpack of ['words', 'hls'] as const) {
        const cost = { ...matrix(rows, kb), core: { ...core, unpack } };
        const slowest = { ...cost, core: slowestCore(cost.core) };
        expect(matMulCycles(slowest)).toBeGreaterThanOrEqual(matMulCycles(cost));
      }
  });
});
