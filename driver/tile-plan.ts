import type { Board } from '../board/index.js';
import { type CoreType, type GgmlType, SUPER_BLOCK } from '../gguf/index.js';
import type { TensorCut } from './packed/packed-tensor.js';
import { rowsPerTile, type TileLayout, tileLayout, wholeLines } from './tile.js';

/** A weight tensor as the driver sees it: M rows of K values. */
export interface TensorShape {
  readonly name: string;
  readonly type: GgmlType;
  /** M. */
  readonly rows: number;
  /** K. */
  readonly columns: number;
  /** Tensors of higher priority become resident first; 0 where not given. */
  readonly priority?: number;
  /** How its rows are made of those of the file, where they are others: packed weights that are kept were made the same way. */
  readonly recipe?: string;
}

/** How a tensor is cut for its packed tiles. */
export function tensorCut(
  { description }: Pick<Board, 'description'>,
  { rows, columns }: TensorShape,
  coreType: CoreType,
  mostRows = Number.POSITIVE_INFINITY,
): TensorCut {
  const kb = columns / SUPER_BLOCK;
  return {
    coreType,
    kb,
    rows,
    rowsPerTile: Math.min(mostRows, rowsPerTile(kb, description.capacity.weightBlocks)),
    laneCount: description.revision === 'v1' ? 1 : 4,
  };
}

/** How a tensor is cut into tiles and what it takes in memory. */
export interface TilePlan {
  readonly kb: number;
  readonly rowsPerTile: number;
  readonly tileCount: number;
  readonly full: TileLayout;
  /** The last tile, with fewer rows or as many as a full one. */
  readonly last: TileLayout;
  /** Bytes of DMA memory where resident, of what is copied there for each use where staged. */
  readonly bytes: number;
}

/** Cuts a tensor that the core can take into tiles. Pure. */
export function planTiles(
  { description }: Pick<Board, 'description'>,
  coreType: CoreType,
  rows: number,
  kb: number,
  placement: 'resident' | 'staged',
  mostRows = Number.POSITIVE_INFINITY,
): TilePlan {
  const { revision, capacity } = description;
  const perTile = Math.min(mostRows, rowsPerTile(kb, capacity.weightBlocks));
  const tileCount = Math.ceil(rows / perTile);
  const full = tileLayout(revision, coreType, kb, Math.min(perTile, rows));
  const last = tileLayout(revision, coreType, kb, rows - (tileCount - 1) * perTile);
  const plan = { kb, rowsPerTile: perTile, tileCount, full, last };
  const bytes =
    placement === 'staged' ? full.bytes * (tileCount - 1) + last.bytes : residentLayout(plan).bytes;
  return { ...plan, bytes };
}

/**
 * Where a resident program's words lie: first lane A's, a tile after the other, each from a cache line on because each is
 * a transfer of its own; then those of each other lane, which one transfer carries for as many tiles as are computed.
 */
export interface ResidentLayout {
  /** Where each lane's words start, and how far apart two tiles of it are. */
  readonly lanes: readonly { readonly start: number; readonly step: number }[];
  readonly bytes: number;
}

export function residentLayout({ tileCount, full, last }: Omit<TilePlan, 'bytes'>): ResidentLayout {
  let end = 0;
  const lanes = full.lanes.map(({ bytes }, lane) => {
    const start = end;
    const step = lane === 0 ? wholeLines(bytes) : bytes;
    end = start + wholeLines(step * (tileCount - 1) + last.lanes[lane].bytes);
    return { start, step };
  });
  return { lanes, bytes: end };
}

/** Bytes of the largest staged tile image of any type: what a staging buffer must hold. */
export function largestStagedTile({ revision, capacity }: Board['description']): number {
  return tileLayout(revision, 6, 1, capacity.weightBlocks).bytes;
}
