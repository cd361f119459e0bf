import { type CoreType, Q8K_BYTES } from '../../gguf/index.js';
import { ThreadPool } from '../threads/thread-pool.js';
import { CpuRowsMemory } from './cpu-rows.js';

/** A tile of the kind that cores have: enough to fill first-level caches, and few milliseconds on a Cortex-A9. */
const TILE = { rows: 64, columns: 2048 };
const ROUNDS = 4;

const rates = new Map<CoreType, number>();

/** Multiply-adds a second that this thread computes of rows of a type: measured once. */
export function rateOfRows(coreType: CoreType): number {
  // To a power of 2^(1/2): what follows from it is to be the same after a restart, which then finds its weights packed.
  const rate = rates.get(coreType) ?? 2 ** (Math.round(2 * Math.log2(measureRate(coreType))) / 2);
  rates.set(coreType, rate);
  return rate;
}

/** At best: the first round compiles. */
function measureRate(coreType: CoreType): number {
  const shape = { coreType, ...TILE };
  const memory = new CpuRowsMemory([shape], TILE.rows, 1, new ThreadPool(1));
  const rows = memory.take(shape);
  // Zeros, which are there, take as long as anything.
  const input = new Uint8Array((TILE.columns / 256) * Q8K_BYTES);
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const before = performance.now();
    memory.begin([rows], (blocks) => blocks.set(input), 1);
    memory.finish();
    least = Math.min(least, performance.now() - before);
  }
  return (TILE.rows * TILE.columns * 1000) / least;
}
