import { describe, expect, it } from 'vitest';
import { testMemory } from './external-memory.js';
import { bitMismatches, description, Poker, readJson, readVector, runMatMul } from './harness.js';

interface RevisionRecord {
  readonly cycles: number;
  readonly inputCycles: number;
  readonly hwc: readonly (readonly [number, number])[];
  readonly status: readonly number[];
  readonly tiles: readonly {
    readonly m: number;
    readonly mstep: number;
    readonly load_cycles: number;
    readonly compute_cycles: number;
  }[];
}
interface IndexCase {
  readonly file: string;
  readonly tile_m: number;
  readonly ntiles: number;
  readonly v1?: RevisionRecord;
  readonly v3?: RevisionRecord;
  readonly v3_preload?: RevisionRecord;
}

const { cases } = readJson<{ cases: readonly IndexCase[] }>('index.json');

describe.each([
  { revision: 'v1', resident: false, key: 'v1', memory: 'its own memory' },
  { revision: 'v3', resident: false, key: 'v3', memory: 'its own memory' },
  { revision: 'v3', resident: true, key: 'v3_preload', memory: 'its own memory' },
  { revision: 'v1', resident: false, key: 'v1', memory: 'memory of a board' },
  { revision: 'v3', resident: true, key: 'v3_preload', memory: 'memory of a board' },
] as const)('golden MatMuls on $key, on $memory', ({ revision, resident, key, memory }) => {
  const external = memory === 'memory of a board' ? testMemory(description(revision).dmaMemory) : undefined;
  const poker = new Poker(revision, {}, { memory: external });

  it.each(cases.filter((one) => one[key] !== undefined))(
    '$file is exact in bits, cycles, counters and status',
    (one) => {
      const record = one[key];
      if (record === undefined) throw new Error('filtered above');
      const vector = readVector(one.file);
      poker.board.resetLogic();
      poker.startChannels();
      for (const [monitor, [state]] of record.hwc.entries()) poker.setTarget(monitor, state);
      poker.resetCounters();

      const run = runMatMul(poker, vector, resident);

      expect(bitMismatches(run.results, vector.results)).toBe(0);
      expect(run.cycles).toBe(record.cycles);
      expect(run.inputCycles).toBe(record.inputCycles);
      expect(record.hwc.map(([state], monitor) => [state, poker.count(monitor)])).toEqual(record.hwc);
      expect(poker.status()).toEqual(record.status);
      expect(run.tiles).toHaveLength(one.ntiles);
      for (const tile of record.tiles)
        expect(run.tiles[tile.m / one.tile_m]).toEqual({
          load: tile.load_cycles,
          compute: tile.compute_cycles,
        });
      expect(poker.board.takeFaults()).toEqual([]);
    },
  );
});
