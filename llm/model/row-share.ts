import { type BoardDescription, tileCycles } from '../../board/index.js';
import { type PlacementReport, rowsPerTile, type TensorShape } from '../../driver/index.js';
import { type CoreType, coreTypeOf, SUPER_BLOCK } from '../../gguf/index.js';
import { blockBytes, mostOfGroup, type RowsWork } from './cpu-rows.js';

/**
 * How many of a matrix's rows, the last ones, the CPU computes while the core computes the others: such that both end as early
 * as they can, the core with a full tile.
 *
 * @param tileSeconds of the core for a full tile
 * @param rowSeconds of the CPU for a row
 */
export function cpuRowsOf(rows: number, perTile: number, tileSeconds: number, rowSeconds: number): number {
  const tiles = Math.ceil(rows / perTile);
  let best = 0;
  let least = tiles * tileSeconds;
  for (let kept = tiles - 1; kept >= 1; kept--) {
    const left = rows - kept * perTile;
    const seconds = Math.max(kept * tileSeconds, left * rowSeconds);
    if (seconds >= least) return best;
    least = seconds;
    best = left;
  }
  return best;
}

/** The CPU's rows of each matrix that the core computes, by name, and the bytes that they take. */
export interface RowShares {
  readonly rows: ReadonlyMap<string, number>;
  readonly bytes: number;
  /** What multiplying them takes beside. */
  readonly work: RowsWork;
  /** Seconds that all of the core's matrices take by the rates: of each the core's part or the CPU's, whatever takes longer. */
  readonly seconds: number;
  /** The same without shares. */
  readonly secondsAlone: number;
}

/**
 * What the threads beside the device's take of a model's rows, for one column: decode is what a board does most.
 *
 * @param placement what of it is the core's
 * @param rateOf multiply-adds a second of these threads together on rows of a type
 */
export function rowShares(
  tensors: readonly TensorShape[],
  placement: PlacementReport,
  board: BoardDescription,
  rateOf: (coreType: CoreType) => number,
): RowShares {
  const shares = new Map<string, number>();
  let [bytes, seconds, secondsAlone, widest] = [0, 0, 0, 0];
  const [theirs, cores]: [number[], number[]] = [[], []];
  for (const [i, { name, type, rows, columns }] of tensors.entries()) {
    const coreType = coreTypeOf(type);
    if (coreType === undefined || placement.tensors[i].placement === 'cpu') continue;
    const kb = columns / SUPER_BLOCK;
    const perTile = rowsPerTile(kb, board.capacity.weightBlocks);
    const tile = {
      core: board,
      coreType,
      kb,
      rows: perTile,
      columns: 1,
      rowsPerTile: perTile,
      resident: true,
    };
    const tileSeconds = tileCycles(tile) / board.clockHz;
    const rowSeconds = columns / rateOf(coreType);
    const share = cpuRowsOf(rows, perTile, tileSeconds, rowSeconds);
    const tilesOf = (count: number) => Math.ceil(count / perTile) * tileSeconds;
    secondsAlone += tilesOf(rows);
    seconds += share === 0 ? tilesOf(rows) : Math.max(tilesOf(rows - share), share * rowSeconds);
    if (share === 0) continue;
    shares.set(name, share);
    bytes += blockBytes({ coreType, rows: share, columns });
    widest = Math.max(widest, columns);
    theirs.push(share);
    cores.push(rows - share);
  }
  const work = { widest, mostRows: mostOfGroup(theirs), coreRows: mostOfGroup(cores) };
  return { rows: shares, bytes, work, seconds, secondsAlone };
}
