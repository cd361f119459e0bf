import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../board/description-file.js';
import { type MatMulCost, matMulComputeCounter, matMulCycles } from '../../../board/timing/cycles.js';
import { Accelerator } from '../../../driver/accelerator.js';
import { CORE_BLOCK_BYTES, CORE_WORDS, type CoreType, ggmlTypeOf } from '../../../gguf/types.js';
import { openMockBoard } from '../../../mock-device/index.js';

interface Shape {
  readonly type: CoreType;
  readonly rows: number;
  readonly kb: number;
  readonly columns: number;
  readonly resident?: boolean;
}

function openCore(board: string, unpack: 'words' | 'hls' = 'words') {
  const accelerator = new Accelerator(openMockBoard({ ...loadBoardDescription(board), unpack }));
  return {
    accelerator,
    /** Multiplies zeros `times` times and gives the cycles of the states that monitors were set to count. */
    run({ type, rows, kb, columns, resident = true }: Shape, times = 1) {
      const tensor = {
        name: 'w',
        type: ggmlTypeOf(type),
        rows,
        columns: kb * 256,
        readRows: (_: number, count: number, into: Uint8Array) =>
          void into.fill(0, 0, count * kb * CORE_BLOCK_BYTES[type]),
      };
      const program = accelerator.load(tensor, resident ? 'resident' : 'staged');
      const output = new Float32Array(rows * columns);
      accelerator.counters.reset();
      for (let i = 0; i < times; i++)
        accelerator.multiply([program], columns, (blocks) => void blocks.fill(0), [output]);
      const counts = Object.fromEntries(accelerator.counters.read().map((one) => [one.monitor, one.cycles]));
      accelerator.unload(program);
      return { counts, tiles: program.tiles };
    },
  };
}

function costOf(
  core: ReturnType<typeof openCore>,
  { type, rows, kb, columns }: Shape,
  rowsPerTile: number,
): MatMulCost {
  return {
    core: core.accelerator.board.description,
    coreType: type,
    kb,
    rows,
    columns,
    rowsPerTile,
  };
}

describe('the synthesised core', () => {
  it('computes the published tile in the published cycles', () => {
    const { counts } = openCore('kv260-2026-v3').run({ type: 2, rows: 128, kb: 1, columns: 4 });
    expect(counts.compute).toBe(23_553);
  });

  it('computes for the 80,342,232 cycles that every published run of a whole model took', () => {
    const core = openCore('kv260-2026-v3');
    const down = { type: 3, rows: 576, kb: 6 } as const;
    const prompt = core.run({ ...down, columns: 34 }, 29);
    expect([prompt.tiles.tileCount, prompt.tiles.full.rows, prompt.tiles.last.rows]).toEqual([4, 170, 66]);
    const single = core.run({ ...down, columns: 1 }, 1 + 4 * 30);
    expect(Number(prompt.counts.compute) + Number(single.counts.compute)).toBe(80_342_232);
  });

  it('computes the worst legal tile in 24.1 million cycles, and no deadline ends them', () => {
    const { counts } = openCore('pynq-z1').run({ type: 2, rows: 1024, kb: 1, columns: 512 });
    expect(counts.compute).toBe(24_117_249);
  });

  const SHAPES: readonly Shape[] = ([2, 3, 4, 5, 6] as const).flatMap((type) =>
    [true, false].flatMap((resident) => [
      { type, rows: 700, kb: 6, columns: 3, resident },
      { type, rows: 33, kb: 1, columns: 1, resident },
    ]),
  );
  it.each(['words', 'hls'] as const)(
    'takes the cycles of the formulas with an unpacker as of %s',
    (unpack) => {
      for (const board of ['kv260', 'kv260-2026-v3', 'kv260-2026-v4']) {
        const core = openCore(board, unpack);
        for (const shape of SHAPES) {
          const { counts, tiles } = core.run(shape);
          const cost = costOf(core, shape, tiles.rowsPerTile);
          expect.soft(counts['store-unit'], JSON.stringify({ board, ...shape })).toBe(matMulCycles(cost));
          expect.soft(counts.compute).toBe(matMulComputeCounter(cost));
        }
      }
    },
  );

  it('shows in its other monitors what the model of it says', () => {
    const shape = { type: 5, rows: 576, kb: 6, columns: 1, resident: false } as const;
    for (const [unpack, wait] of [
      ['words', 0],
      ['hls', 64 - CORE_WORDS[5]],
    ] as const) {
      const core = openCore('kv260-2026-v3', unpack);
      const states = [
        { scheduler: 31, compute: 2 },
        { scheduler: 32, compute: 3 },
        { scheduler: 4, compute: 2 },
      ];
      const seen = states.map((targets) => {
        core.accelerator.counters.setTargets({ 'load-unit': 4, ...targets });
        return core.run(shape).counts;
      });
      const groups = (576 * 6) / 4;
      expect(seen[0]!['load-unit']).toBe(groups * CORE_WORDS[5] + 9 * 4);
      expect(seen.map(({ scheduler }) => scheduler)).toEqual([2 * 4 + groups * wait, 2 * 4, 8 * 4]);
      expect(seen[1]!.compute).toBe(3 * 4);
    }
  });
});
