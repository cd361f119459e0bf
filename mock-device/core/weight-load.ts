import { CORE_WORDS, type CoreType } from '../../gguf/types.js';

/** Some blocks of a lane, either still where the DMA read them or copied because that memory is about to change. */
type LaneWords = { readonly at: number } | { readonly copy: Uint8Array };

/** One LOAD_WGT: `blocks` super-blocks of one type, block i being number floor(i / lanes) of lane i mod lanes. */
export class WeightLoad {
  private readonly lanes: LaneWords[];

  constructor(
    readonly type: CoreType,
    readonly blocks: number,
    /** Per lane an offset in the kernels' address space, or the words themselves. */
    lanes: readonly LaneWords[],
    private readonly memory: Uint8Array,
  ) {
    this.lanes = [...lanes];
  }

  /** Bytes of one block as streamed. */
  get blockBytes(): number {
    return CORE_WORDS[this.type] * 4;
  }

  /** Where each lane's blocks lie, or undefined when some are copies. */
  get addresses(): number[] | undefined {
    const addresses = this.lanes.flatMap((lane) => ('at' in lane ? [lane.at] : []));
    return addresses.length === this.lanes.length ? addresses : undefined;
  }

  laneBytes(lane: number): Uint8Array {
    const words = this.lanes[lane];
    return 'at' in words ? this.memory.subarray(words.at, words.at + this.laneLength(lane)) : words.copy;
  }

  block(index: number): Uint8Array {
    const start = Math.floor(index / this.lanes.length) * this.blockBytes;
    return this.laneBytes(index % this.lanes.length).subarray(start, start + this.blockBytes);
  }

  /** Keeps the words that lie from offset `start` to before `end`: that memory is about to change. */
  keep(start: number, end: number): void {
    for (const [index, lane] of this.lanes.entries())
      if ('at' in lane && lane.at < end && start < lane.at + this.laneLength(index))
        this.lanes[index] = { copy: this.laneBytes(index).slice() };
  }

  private laneLength(lane: number): number {
    return blocksOfLane(this.blocks, lane, this.lanes.length) * this.blockBytes;
  }
}

/** How many of a tile's blocks go to a lane. */
export function blocksOfLane(blocks: number, lane: number, lanes: number): number {
  return Math.max(0, Math.ceil((blocks - lane) / lanes));
}
