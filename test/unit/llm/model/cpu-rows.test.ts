import { afterEach, describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../../board/index.js';
import { Accelerator } from '../../../../driver/index.js';
import {
  CORE_BLOCK_BYTES,
  CORE_TYPES,
  type CoreType,
  GgmlType,
  type GgufTensor,
  multiplyBlockRow,
  Q8K_BYTES,
} from '../../../../gguf/index.js';
import { modelShape } from '../../../../llm/memory/model-shape.js';
import { rateOfRows } from '../../../../llm/model/cpu-rate.js';
import { CpuRowsMemory } from '../../../../llm/model/cpu-rows.js';
import { type LoadOptions, loadModel } from '../../../../llm/model/load-model.js';
import type { Model } from '../../../../llm/model/model.js';
import { cpuRowsOf, rowShares } from '../../../../llm/model/row-share.js';
import { ThreadPool } from '../../../../llm/threads/thread-pool.js';
import { Random } from '../../../../maths/index.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { syntheticGguf } from '../models.js';
import { expectSameBits, expectSameBitsOfAll } from '../same-bits.js';

const open: { close(): void }[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

/** Bytes of which every bit pattern of scales, halves and quants turns up, NaN and infinities included. */
function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => Math.floor(random.nextDouble() * 256));
}

describe('rows of K-quant blocks on the CPU', () => {
  it.each(CORE_TYPES)('of type %i have the bits of the reference, for any bytes and threads', (coreType) => {
    const random = new Random(coreType);
    for (let round = 0; round < 12; round++) {
      const below = (n: number) => 1 + Math.floor(random.nextDouble() * n);
      const [kb, n] = [below(4), below(5)];
      const threads = new ThreadPool(below(3));
      open.push(threads);
      const shapes = Array.from({ length: below(3) }, () => ({
        coreType,
        rows: below(40),
        columns: kb * 256,
      }));
      const memory = new CpuRowsMemory(shapes, 120, 5, threads);
      const input = randomBytes(random, n * kb * Q8K_BYTES);
      const matrices = shapes.map((shape) => memory.take(shape));
      for (const { blocks } of matrices) blocks.set(randomBytes(random, blocks.length));
      const results = memory.begin(matrices, (blocks) => blocks.set(input), n);
      memory.finish();
      for (const [i, { rows, blocks }] of matrices.entries()) {
        const plain = Uint8Array.from(blocks);
        const expected = new Float32Array(n * rows);
        for (let column = 0; column < n; column++)
          for (let row = 0; row < rows; row++)
            expected[column * rows + row] = multiplyBlockRow(
              coreType,
              plain,
              row * kb * CORE_BLOCK_BYTES[coreType],
              input,
              column * kb * Q8K_BYTES,
              kb,
            );
        expectSameBits(results[i], expected);
      }
    }
  });
});

describe('a share of the rows', () => {
  const DIMENSIONS = { embedding: 256, feedForward: 768, layers: 2 } as const;
  const types = [GgmlType.Q2_K, GgmlType.Q3_K, GgmlType.Q4_K, GgmlType.Q5_K, GgmlType.Q6_K];
  const gguf = syntheticGguf((name) => types[name.length % types.length], DIMENSIONS);

  // Rows of three super-blocks: matrices of several tiles.
  const wide = syntheticGguf(() => GgmlType.Q3_K, { embedding: 768, feedForward: 1536, layers: 2 });

  function loaded(options: LoadOptions, file = gguf): { model: Model; accelerator: Accelerator } {
    const accelerator = new Accelerator(openMockBoard(loadBoardDescription('pynq-z1')));
    const model = loadModel(file, { ...options, accelerator });
    open.push(model, accelerator);
    return { model, accelerator };
  }

  /** Logits of a prompt in one step, of which some columns want logits, and of tokens after it one by one. */
  function logitsOf(model: Model): Float32Array[] {
    const cache = model.newCache();
    const logits: Float32Array[] = [];
    const column = (position: number, wants = true) => {
      const into = wants ? new Float32Array(model.config.vocabSize) : undefined;
      if (into !== undefined) logits.push(into);
      return { cache, token: (position * 37) % 250, position, logits: into };
    };
    model.forward([0, 1, 2, 3, 4].map((position) => column(position, position !== 2)));
    for (const position of [5, 6]) model.forward([column(position)]);
    return logits;
  }

  const alone = logitsOf(loaded({}).model);

  it.each([1, 2, 3, 4])('changes no bit with %i threads, whatever it is', (threads) => {
    for (let round = 0; round < 3; round++) {
      const random = new Random(10 * threads + round);
      const cpuRows = ({ rows }: GgufTensor) =>
        random.nextDouble() < 0.2 ? 0 : Math.floor(random.nextDouble() * rows);
      expectSameBitsOfAll(logitsOf(loaded({ threads, cpuRows }).model), alone);
    }
  });

  const description = loadBoardDescription('pynq-z1');

  /** What is decided for the wide model. */
  function shareOf(rateOf: (coreType: CoreType) => number) {
    const { matrices } = modelShape(wide);
    const placement = new Accelerator(openMockBoard(description)).plan(matrices);
    const { rows, bytes } = rowShares(matrices, placement, description, rateOf);
    return { bytes, cpuRows: ({ name }: GgufTensor) => rows.get(name) ?? 0 };
  }

  it('by the rate leaves the core whole tiles, fewer cycles and less memory, and is counted', () => {
    const whole = loaded({}, wide);
    // About as fast as the core: half of the tiles, rounded up for the core.
    const { bytes, cpuRows } = shareOf(() => 1.5e9);
    const shared = loaded({ threads: 2, cpuRows }, wide);
    expectSameBitsOfAll(logitsOf(shared.model), logitsOf(whole.model));
    const [before, after] = [whole, shared].map(({ model }) => model.cost());
    expect(after.coreCycles).toBeLessThan(0.75 * before.coreCycles);
    expect(after.coreMultiplyAdds + after.cpuMultiplyAdds).toBe(before.coreMultiplyAdds);
    expect(after.cpuMultiplyAdds).toBeGreaterThan(0);
    expect(bytes).toBeGreaterThan(0);
    const free = [whole, shared].map(({ accelerator }) => accelerator.board.dmaMemory().free);
    expect(free[1]).toBeGreaterThan(free[0] + 0.9 * bytes);
  });

  it('by a measured rate changes no bit either', () => {
    const { cpuRows } = shareOf(rateOfRows);
    expectSameBitsOfAll(
      logitsOf(loaded({ threads: 2, cpuRows }, wide).model),
      logitsOf(loaded({}, wide).model),
    );
  });
});

describe('the CPU’s rows', () => {
  it.each([
    // A core that is ten times as fast as the CPU keeps ten of eleven tiles.
    { rows: 1100, perTile: 100, tile: 1, row: 0.1, expected: 100 },
    // One that is as fast keeps half.
    { rows: 1000, perTile: 100, tile: 1, row: 0.01, expected: 500 },
    // A short last tile is worth as much of the core's time as a full one.
    { rows: 910, perTile: 100, tile: 1, row: 0.1, expected: 10 },
    { rows: 1000, perTile: 100, tile: 1, row: 10, expected: 0 },
    { rows: 100, perTile: 100, tile: 1, row: 1e-6, expected: 0 },
  ])('$rows in tiles of $perTile at $row s beside $tile s a tile are $expected', (given) => {
    expect(cpuRowsOf(given.rows, given.perTile, given.tile, given.row)).toBe(given.expected);
  });
});
