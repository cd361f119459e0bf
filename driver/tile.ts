import type { CoreRevision } from '../board/index.js';
import { CORE_WORDS, type CoreType } from '../gguf/index.js';
import { COMPUTE_WORDS, LOAD_WEIGHTS_WORDS, laneBlocks } from './instructions.js';

/** Every transfer starts on a cache line: right for engines of any width, and no two owners share a line. */
const LINE = 64;

/** Where one lane's part of a tile lies in the tile's image. */
interface LanePart {
  /** Where the lane's words start, and their length; bytes from the start of the image. */
  readonly offset: number;
  readonly bytes: number;
  /** Where the lane's first block lies. */
  readonly dataOffset: number;
}

/**
 * The image of one tile of weights, as the lanes read it: lane A's LOAD_WGT header, blocks and COMPUTE, so that one
 * transfer carries all three, then the blocks of each other lane.
 */
export interface TileLayout {
  readonly rows: number;
  /** Super-blocks: rows * kb. */
  readonly blocks: number;
  readonly lanes: readonly LanePart[];
  /** Bytes of the whole image, a multiple of 64. */
  readonly bytes: number;
}

/** Rounds up to whole cache lines. */
export function wholeLines(bytes: number): number {
  return Math.ceil(bytes / LINE) * LINE;
}

/** Rows of a full tile: as many as the core's weight memory takes. */
export function rowsPerTile(kb: number, weightBlocks: number): number {
  return Math.floor(weightBlocks / kb);
}

export function tileLayout(revision: CoreRevision, coreType: CoreType, kb: number, rows: number): TileLayout {
  const blocks = rows * kb;
  const laneCount = revision === 'v1' ? 1 : 4;
  const lanes: LanePart[] = [];
  let end = 0;
  for (let lane = 0; lane < laneCount; lane++) {
    const before = lane === 0 ? LOAD_WEIGHTS_WORDS[revision] * 4 : 0;
    const after = lane === 0 ? COMPUTE_WORDS * 4 : 0;
    const bytes = before + laneBlocks(blocks, lane, laneCount) * CORE_WORDS[coreType] * 4 + after;
    lanes.push({ offset: end, bytes, dataOffset: end + before });
    end += wholeLines(bytes);
  }
  return { rows, blocks, lanes, bytes: end };
}

/** Where COMPUTE lies in a tile's image: at the end of lane A's words. */
export function computeOffset({ lanes: [laneA] }: TileLayout): number {
  return laneA.offset + laneA.bytes - COMPUTE_WORDS * 4;
}

/** Writes 32-bit little-endian words. */
export function putWords(bytes: Uint8Array, offset: number, words: readonly number[]): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  words.forEach((word, i) => {
    view.setUint32(offset + 4 * i, word, true);
  });
}
