import { type BoardDescription, inputCycles, tileCycles } from '../../board/index.js';
import { rowsPerTile, type TensorShape } from '../../driver/index.js';
import { CORE_WORDS, coreTypeOf, SUPER_BLOCK } from '../../gguf/index.js';
import { stepShape } from '../../llm/index.js';
import { type ModelShape, syntheticHeader } from '../synthetic-model.js';

/** What a token asks of the core, all weights where the core finds them. */
export interface CoreWork {
  /** By the board's timing, with its clock and unpacker. */
  readonly cycles: number;
  readonly tiles: number;
  /** Bytes of weights that the lanes read. */
  readonly weightBytes: number;
  /** Matrices that the core takes, and all. */
  readonly onCore: number;
  readonly matrices: number;
}

/** Adds up a token's matrices: those that share an input send it once. */
export function coreWork(board: BoardDescription, model: ModelShape): CoreWork {
  const work = { cycles: 0, tiles: 0, weightBytes: 0, onCore: 0, matrices: 0 };
  for (const group of groupsOf(model)) {
    let first = true;
    for (const { type, rows, columns } of group) {
      work.matrices++;
      const coreType = coreTypeOf(type);
      const kb = columns / SUPER_BLOCK;
      if (coreType === undefined || !Number.isInteger(kb)) continue;
      const perTile = rowsPerTile(kb, board.capacity.weightBlocks);
      const cost = { core: board, coreType, kb, rows, columns: 1, rowsPerTile: perTile, resident: true };
      work.cycles += tileCycles(cost) + (first ? inputCycles(board, kb, 1) : 0);
      work.tiles += Math.ceil(rows / perTile);
      work.weightBytes += rows * kb * CORE_WORDS[coreType] * 4;
      work.onCore++;
      first = false;
    }
  }
  return work;
}

/** Matrices in the order of use, those that share an input together. */
function groupsOf(model: ModelShape): (readonly TensorShape[])[] {
  const { layers, output } = stepShape(syntheticHeader(model));
  const groups = layers.flatMap(({ query, always, after }) => [[...query, ...always], ...after]);
  return [...groups, [output]];
}
