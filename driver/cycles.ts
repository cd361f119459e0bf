import type { CoreRevision } from '../board/index.js';
import { CORE_WORDS, type CoreType } from '../gguf/index.js';

/** One MatMul as the driver streams it (manual, "Registers", cycle counts of the SystemC model). */
export interface MatMulCost {
  readonly revision: CoreRevision;
  readonly coreType: CoreType;
  /** Super-blocks in a row. */
  readonly kb: number;
  /** M and N. */
  readonly rows: number;
  readonly columns: number;
  /** Rows of a full tile. */
  readonly rowsPerTile: number;
  /** Weights resident in DMA memory: the LOAD_WGT header is a transfer of its own. */
  readonly resident: boolean;
}

/** Cycles until `columns` inputs of `kb` super-blocks are loaded. */
export function inputCycles(kb: number, columns: number): number {
  return 73 * kb * columns + 8;
}

/** Cycles of one tile's weight load. */
export function loadCycles(cost: MatMulCost, tileRows: number, firstTile: boolean): number {
  const blocks = tileRows * cost.kb;
  const wordsPerBlock = CORE_WORDS[cost.coreType];
  if (cost.revision === 'v1') return blocks * wordsPerBlock + 12 + (cost.resident ? (firstTile ? 7 : 5) : 0);
  return Math.ceil(blocks / 4) * wordsPerBlock + 17 + (cost.resident ? (firstTile ? 3 : 2) : 0);
}

/** Cycles of one tile's computation, results stored. */
export function computeCycles(cost: MatMulCost, tileRows: number): number {
  return tileRows * cost.columns * cost.kb + 10;
}

/** Cycles of all tiles, without the inputs. */
export function tileCycles(cost: MatMulCost): number {
  let total = 0;
  for (let row = 0; row < cost.rows; row += cost.rowsPerTile) {
    const rows = Math.min(cost.rowsPerTile, cost.rows - row);
    total += loadCycles(cost, rows, row === 0) + computeCycles(cost, rows);
  }
  return total;
}

/** Cycles of one MatMul from its first word to its last result; exact on the SystemC model. */
export function matMulCycles(cost: MatMulCost): number {
  return inputCycles(cost.kb, cost.columns) + tileCycles(cost);
}

/**
 * Cycles of one SOFT_MAX tile of v4, from its first word on: those of the simulation, which leaves out what the unit
 * spends besides the elements. Hardware's are unknown.
 */
export function softMaxTileCycles(count: number, masked: boolean, pass: 1 | 2): number {
  return 6 + count * ((pass === 1 ? 8 : 2) + (masked ? 1 : 0));
}
