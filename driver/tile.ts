import type { CoreRevision } from '../board/index.js';
import { CORE_BLOCK_BYTES, CORE_WORDS, type CoreType } from '../gguf/index.js';
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

/**
 * Packs a tile's GGUF blocks into its image: each padded to whole words, block i to lane i mod lanes.
 *
 * @param source the tile's blocks, row after row; like `image` from an even address on
 * @param image receives the blocks from byte `imageOffset`; instruction words are left alone
 */
export function packTile(
  coreType: CoreType,
  layout: TileLayout,
  source: Uint8Array,
  image: Uint8Array,
  imageOffset: number,
): void {
  const blockBytes = CORE_BLOCK_BYTES[coreType];
  const paddedBytes = CORE_WORDS[coreType] * 4;
  const laneCount = layout.lanes.length;
  // Halfword by halfword, which every block and offset is a multiple of: a view for each of a model's millions of
  // blocks would cost more than the copy.
  const from = new Uint16Array(source.buffer, source.byteOffset, source.byteLength >> 1);
  const to = new Uint16Array(image.buffer, image.byteOffset, image.byteLength >> 1);
  const block = blockBytes >> 1;
  const padded = paddedBytes >> 1;
  for (let lane = 0; lane < laneCount; lane++) {
    let at = (imageOffset + layout.lanes[lane].dataOffset) >> 1;
    for (let number = lane; number < layout.blocks; number += laneCount) {
      const first = number * block;
      for (let i = 0; i < block; i++) to[at + i] = from[first + i];
      for (let i = block; i < padded; i++) to[at + i] = 0;
      at += padded;
    }
  }
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
