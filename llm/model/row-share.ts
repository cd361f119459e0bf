import { type BoardDescription, tileCycles } from '../../board/index.js';
import { type PlacementReport, rowsPerTile } from '../../driver/index.js';
import { type CoreType, coreTypeOf, type GgufTensor, SUPER_BLOCK } from '../../gguf/index.js';

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

/**
 * The CPU's rows of each matrix that the core computes, by name, for one column: decode is what a board does most.
 *
 * @param placement where all rows would be
 * @param rateOf multiply-adds a second of the threads beside the device's, together, on rows of a type; asked once a type
 */
export function rowShares(
  tensors: readonly GgufTensor[],
  placement: PlacementReport,
  board: BoardDescription,
  rateOf: (coreType: CoreType) => number,
): Map<string, number> {
  const shares = new Map<string, number>();
  const rates = new Map<CoreType, number>();
  for (const [i, { name, type, rows, columns }] of tensors.entries()) {
    const coreType = coreTypeOf(type);
    const { placement: place } = placement.tensors[i];
    if (coreType === undefined || place === 'cpu') continue;
    const kb = columns / SUPER_BLOCK;
    const perTile = rowsPerTile(kb, board.capacity.weightBlocks);
    const tile = { core: board, coreType, kb, rows: perTile, columns: 1, rowsPerTile: perTile };
    const seconds = tileCycles({ ...tile, resident: place === 'resident' }) / board.clockHz;
    const rate = rates.get(coreType) ?? rateOf(coreType);
    rates.set(coreType, rate);
    const share = cpuRowsOf(rows, perTile, seconds, columns / rate);
    if (share > 0) shares.set(name, share);
  }
  return shares;
}
