import { CORE_WORDS, type CoreType } from '../../gguf/types.js';

/** One LOAD_WGT: `blocks` super-blocks of one type, block i being number floor(i / lanes) of lane i mod lanes. */
export class WeightLoad {
  /** Words of lanes that no longer lie where the DMA read them. */
  private readonly copies: (Uint8Array | undefined)[];

  constructor(
    readonly type: CoreType,
    readonly blocks: number,
    /** Where each lane's words lie in the kernels' address space, unless they are copies. */
    readonly addresses: readonly number[],
    /** Words of lanes that came in several pieces. */
    copies: readonly (Uint8Array | undefined)[],
    private readonly memory: Uint8Array,
  ) {
    this.copies = [...copies];
  }

  /** Whether all lanes' words lie at their `addresses`. */
  get isInPlace(): boolean {
    for (const copy of this.copies) if (copy !== undefined) return false;
    return true;
  }

  laneBytes(lane: number): Uint8Array {
    const at = this.addresses[lane];
    return this.copies[lane] ?? this.memory.subarray(at, at + this.laneLength(lane));
  }

  block(index: number): Uint8Array {
    const lanes = this.addresses.length;
    const start = Math.floor(index / lanes) * this.blockBytes;
    return this.laneBytes(index % lanes).subarray(start, start + this.blockBytes);
  }

  /** Keeps the words that lie from offset `start` to before `end`: that memory is about to change. */
  keep(start: number, end: number): void {
    for (let lane = 0; lane < this.addresses.length; lane++) {
      const at = this.addresses[lane];
      if (at < end && start < at + this.laneLength(lane)) this.copies[lane] ??= this.laneBytes(lane).slice();
    }
  }

  private get blockBytes(): number {
    return CORE_WORDS[this.type] * 4;
  }

  private laneLength(lane: number): number {
    return blocksOfLane(this.blocks, lane, this.addresses.length) * this.blockBytes;
  }
}

/** How many of a tile's blocks go to a lane. */
export function blocksOfLane(blocks: number, lane: number, lanes: number): number {
  return Math.max(0, Math.ceil((blocks - lane) / lanes));
}
