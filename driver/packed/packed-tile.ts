import { CORE_WORDS, type CoreType } from '../../gguf/index.js';
import { laneBlocks } from '../instructions.js';
import { wholeLines } from '../tile.js';

/** A tile's blocks as the lanes read them, without instructions: lane after lane, each from a cache line on. */
export interface PackedTile {
  /** Super-blocks. */
  readonly blocks: number;
  /** Where each lane's blocks lie in the tile. */
  readonly lanes: readonly { readonly offset: number; readonly bytes: number }[];
  /** Bytes of the whole tile, a multiple of 64; what no block takes is zero. */
  readonly bytes: number;
}

/** Block i of a tile goes to lane i mod lanes. */
export function packedTile(laneCount: number, coreType: CoreType, blocks: number): PackedTile {
  let end = 0;
  const lanes = Array.from({ length: laneCount }, (_, lane) => {
    const offset = end;
    const bytes = laneBlocks(blocks, lane, laneCount) * CORE_WORDS[coreType] * 4;
    end += wholeLines(bytes);
    return { offset, bytes };
  });
  return { blocks, lanes, bytes: end };
}
