import { CORE_WORDS, type CoreType } from '../../gguf/index.js';
import type { BoardDescription } from '../description.js';

/** What of a board decides the time of its core. */
export type TimedCore = Pick<BoardDescription, 'revision' | 'timing' | 'unpack'>;

/** One MatMul as the driver streams it. */
export interface MatMulCost {
  readonly core: TimedCore;
  readonly coreType: CoreType;
  /** Super-blocks in a row. */
  readonly kb: number;
  /** M and N. */
  readonly rows: number;
  readonly columns: number;
  /** Rows of a full tile. */
  readonly rowsPerTile: number;
}

/**
 * Cycles in which the synthesised unpacker takes a group of four super-blocks, by weight type: estimated from the HLS
 * report, never measured, so an upper bound for plans. The loaders beside it take one word a cycle.
 */
const HLS_UNPACK: Readonly<Record<CoreType, number>> = { 2: 36, 3: 48, 4: 45, 5: 64, 6: 70 };

/** The synthesised loop over a row's super-blocks: it begins one every 16 cycles, and each output fills and drains it. */
const CYCLES_PER_PRODUCT = 16;
const CYCLES_PER_OUTPUT = 30;

/** Cycles until `columns` inputs of `kb` super-blocks are loaded. */
export function inputCycles({ timing, revision }: TimedCore, kb: number, columns: number): number {
  return (timing === 'systemc' ? 73 : 77) * kb * columns + 8 + extraClock(revision);
}

/** Cycles of one tile's weight load: until its last word is in, and where it is slower, the unpacker done. */
export function loadCycles({ core, coreType, kb }: MatMulCost, tileRows: number): number {
  const blocks = tileRows * kb;
  const groups = core.revision === 'v1' ? blocks : Math.ceil(blocks / 4);
  const words = groups * CORE_WORDS[coreType];
  if (core.revision === 'v1') return words + 12;
  return words + unpackWait(core, coreType, blocks) + (core.timing === 'systemc' ? 17 : 24);
}

/** Cycles that the unpacker needs after the last word of a tile of `blocks` super-blocks. */
export function unpackWait({ timing, unpack }: TimedCore, coreType: CoreType, blocks: number): number {
  if (timing === 'systemc' || unpack === 'words') return 0;
  return Math.ceil(blocks / 4) * Math.max(0, HLS_UNPACK[coreType] - CORE_WORDS[coreType]);
}

/** Cycles of one tile's computation, results stored. */
export function computeCycles({ core, kb, columns }: MatMulCost, tileRows: number): number {
  return computeCounter(core, kb, tileRows, columns) + 10 + extraClock(core.revision);
}

/**
 * What one COMPUTE adds to the counter of the compute unit in state 2: exact, on the SystemC model and, in the
 * synthesised timing, on hardware.
 */
export function computeCounter({ timing }: TimedCore, kb: number, rows: number, columns: number): number {
  if (timing === 'systemc') return rows * columns * kb;
  return (CYCLES_PER_PRODUCT * kb + CYCLES_PER_OUTPUT) * rows * columns + 1;
}

/** Cycles of all tiles, without the inputs. */
export function tileCycles(cost: MatMulCost): number {
  return sumOfTiles(cost, (rows) => loadCycles(cost, rows) + computeCycles(cost, rows));
}

/** What the counter of the compute unit in state 2 grows by during a MatMul. */
export function matMulComputeCounter(cost: MatMulCost): number {
  return sumOfTiles(cost, (rows) => computeCounter(cost.core, cost.kb, rows, cost.columns));
}

/**
 * Cycles of one MatMul from its first word to its last result: exact on the SystemC model. In the synthesised timing the
 * part that computes is exact on hardware, the rest a model.
 */
export function matMulCycles(cost: MatMulCost): number {
  return inputCycles(cost.core, cost.kb, cost.columns) + tileCycles(cost);
}

/**
 * The slowest that a core of this revision may be: the synthesised one with the unpacker of the HLS report. Deadlines
 * come from it, whatever the board's file says.
 */
export function slowestCore({ revision }: TimedCore): TimedCore {
  return { revision, timing: 'synthesised', unpack: 'hls' };
}

function sumOfTiles({ rows, rowsPerTile }: MatMulCost, cyclesOf: (tileRows: number) => number): number {
  let total = 0;
  for (let row = 0; row < rows; row += rowsPerTile) total += cyclesOf(Math.min(rowsPerTile, rows - row));
  return total;
}

/** v4's control unit takes a clock more for the inputs of a MatMul and for each of its tiles. */
function extraClock(revision: TimedCore['revision']): number {
  return revision === 'v4' ? 1 : 0;
}

/**
 * Cycles of one SOFT_MAX tile of v4, from its first word on: those of the simulation, which leaves out what the unit
 * spends besides the elements. Hardware's are unknown.
 */
export function softMaxTileCycles(count: number, isMasked: boolean, pass: 1 | 2): number {
  return 6 + count * ((pass === 1 ? 8 : 2) + (isMasked ? 1 : 0));
}
