import { type BoardDescription, tileCycles } from '../../board/index.js';
import { type PlacementReport, rowsPerTile, type TensorShape } from '../../driver/index.js';
import { type CoreType, coreTypeOf, SUPER_BLOCK } from '../../gguf/index.js';
import { blockBytes } from './cpu-rows.js';

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
  let bytes = 0;
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
    const share = cpuRowsOf(rows, perTile, tileCycles(tile) / board.clockHz, columns / rateOf(coreType));
    if (share === 0) continue;
    shares.set(name, share);
    bytes += blockBytes({ coreType, rows: share, columns });
  }
  return { rows: shares, bytes };
}
