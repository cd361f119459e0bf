import { type BoardDescription, type MatMulCost, matMulCycles, tileCycles } from '../board/index.js';
import { coreTypeOf, SUPER_BLOCK } from '../gguf/index.js';
import { refusal } from './placement.js';
import { rowsPerTile } from './tile.js';
import type { TensorShape } from './tile-plan.js';
import { workingSizes } from './working-memory.js';

/**
 * Core cycles of `columns` columns through matrices that share an input, in the board's timing: what `Accelerator.cycles` says
 * of their programs, from the description alone. What the core does not take costs none.
 * @param resultBytes of the buffer for results; as large as the board's unless given
 */
export function groupCycles(
  description: BoardDescription,
  tensors: readonly TensorShape[],
  columns: number,
  resultBytes = workingSizes(description).output,
): number {
  const { weightBlocks, inputBlocks } = description.capacity;
  const costs = tensors.flatMap((tensor): Omit<MatMulCost, 'columns'>[] => {
    const coreType = coreTypeOf(tensor.type);
    if (coreType === undefined || refusal(description, tensor) !== undefined) return [];
    const kb = tensor.columns / SUPER_BLOCK;
    return [
      { core: description, coreType, kb, rows: tensor.rows, rowsPerTile: rowsPerTile(kb, weightBlocks) },
    ];
  });
  const [first] = costs;
  if (first === undefined) return 0;
  // Columns beyond what inputs and results have room for go in further runs, each of which loads the weights again.
  const perRun = costs.reduce(
    (most, { rows, rowsPerTile: full }) =>
      Math.min(most, Math.floor(resultBytes / (4 * Math.min(full, rows)))),
    Math.floor(inputBlocks / first.kb),
  );
  let cycles = 0;
  for (let done = 0; done < columns; done += perRun)
    for (const [i, cost] of costs.entries()) {
      const run = { ...cost, columns: Math.min(perRun, columns - done) };
      cycles += i === 0 ? matMulCycles(run) : tileCycles(run);
    }
  return cycles;
}
