import { monitorsOf } from '../../board/index.js';
import type { Accelerator } from '../accelerator.js';
import { type CounterTargets, cyclesBetween } from '../counters.js';
import { type GoldenVector, vectorTensor } from './vector.js';

/** What one MatMul gave and cost. */
export interface MatMulRun {
  /** Bits of out[n*M + m]. */
  readonly outputs: Uint32Array;
  /** The counts of all monitors, of the states that they were set to. */
  readonly counts: readonly number[];
  /** Cycles from the reset of the counters to the last result. */
  readonly cycles: number;
  /** Cycles from one tile's last result to the next one's; the first has the inputs in it. */
  readonly tileCycles: readonly number[];
  /** Status registers after it. */
  readonly status: readonly number[];
}

const STORE_UNIT = 2;

/**
 * Loads a vector's weights, multiplies once and unloads them.
 * @param targets state to count per monitor, in the manual's order; the store unit always counts every cycle
 */
export function runMatMul(
  accelerator: Accelerator,
  name: string,
  vector: GoldenVector,
  resident: boolean,
  targets: readonly number[],
): MatMulRun {
  const { counters } = accelerator;
  const program = accelerator.load(vectorTensor(name, vector), resident ? 'resident' : 'staged', {
    force: true,
    mostRows: vector.rowsPerTile,
  });
  const totals: number[] = [];
  const usualTargets = counters.getTargets();
  const { onTile } = accelerator;
  try {
    counters.setTargets(targetsByName(accelerator, targets));
    counters.reset();
    accelerator.onTile = () => totals.push(counters.readOne('store-unit'));
    const output = new Float32Array(vector.rows * vector.inputs);
    accelerator.multiply([program], vector.inputs, (blocks) => blocks.set(vector.inputBlocks), [output]);
    const counts = counters.read().map(({ cycles }) => cycles);
    return {
      outputs: new Uint32Array(output.buffer),
      counts,
      cycles: counts[STORE_UNIT],
      tileCycles: totals.map((total, i) => cyclesBetween(i === 0 ? 0 : totals[i - 1], total)),
      status: accelerator.status().values,
    };
  } finally {
    accelerator.onTile = onTile;
    counters.setTargets(usualTargets);
    accelerator.unload(program);
  }
}

function targetsByName(accelerator: Accelerator, targets: readonly number[]): CounterTargets {
  const monitors = monitorsOf(accelerator.board.description);
  return Object.fromEntries(monitors.map(({ name }, i) => [name, i === STORE_UNIT ? 1 : (targets[i] ?? 0)]));
}

/** The state of a device that was just switched on, where the board can do it. */
export function powerUp(accelerator: Accelerator): void {
  accelerator.board.resetLogic();
  accelerator.reset();
}
