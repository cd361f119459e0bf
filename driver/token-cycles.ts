import { type BoardDescription, type MatMulCost, matMulCycles } from '../board/index.js';
import { coreTypeOf, SUPER_BLOCK } from '../gguf/index.js';
import { rowsPerTile } from './tile.js';
import type { TensorShape } from './tile-plan.js';

/** Cycles for both speeds of the synthesised core's unpacker; the truth lies between. In the SystemC model's timing they are equal. */
export interface TokenCycles {
  /** As fast as the words come. */
  readonly words: number;
  /** As the HLS report has it. */
  readonly hls: number;
}

/**
 * Core cycles of one column through each of some tensors, in the board's timing, every tensor with inputs of its own: a
 * token of one sequence. What the CPU computes costs none.
 */
export function tokenCycles(
  description: BoardDescription,
  tensors: readonly TensorShape[],
  placements: readonly ('resident' | 'staged' | 'cpu')[],
): TokenCycles {
  const sumWith = (unpack: 'words' | 'hls'): number => {
    // Layers are alike.
    const known = new Map<string, number>();
    return tensors.reduce((sum, { type, rows, columns }, i) => {
      const coreType = coreTypeOf(type);
      if (placements[i] === 'cpu' || coreType === undefined) return sum;
      const shape = `${type} ${rows} ${columns}`;
      const kb = columns / SUPER_BLOCK;
      const cost: MatMulCost = {
        core: { ...description, unpack },
        coreType,
        kb,
        rows,
        columns: 1,
        rowsPerTile: rowsPerTile(kb, description.capacity.weightBlocks),
      };
      const cycles = known.get(shape) ?? matMulCycles(cost);
      known.set(shape, cycles);
      return sum + cycles;
    }, 0);
  };
  return { words: sumWith('words'), hls: sumWith('hls') };
}
