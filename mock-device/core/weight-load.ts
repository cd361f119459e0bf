import { CORE_WORDS, type CoreType } from '../../gguf/index.js';
import type { CoreMemory } from '../core-memory.js';

/** One LOAD_WGT: `blocks` super-blocks of one type, block i being number floor(i / lanes) of lane i mod lanes. */
export class WeightLoad {
  /** Where each lane's words lie in the kernels' address space, unless they are copies: where the DMA found them, or in the place. */
  readonly #addresses: number[];
  /** No lane's words begin before, and none end behind, of those that lie in that space. */
  #from = Number.POSITIVE_INFINITY;
  #to = 0;
  /** Place for words that cannot stay where the DMA found them; undefined once later loads use it. */
  #place: number | undefined;
  /** Words of lanes of a load that lost its place. */
  #copies: (Uint8Array | undefined)[] | undefined;
  readonly #memory: CoreMemory;

  constructor(
    readonly type: CoreType,
    readonly blocks: number,
    addresses: readonly number[],
    place: number,
    memory: CoreMemory,
  ) {
    this.#addresses = addresses.slice();
    this.#place = place;
    this.#memory = memory;
    const longest = this.#laneLength(0);
    for (const address of addresses) {
      this.#from = Math.min(this.#from, address);
      this.#to = Math.max(this.#to, address + longest);
    }
  }

  /** Where the kernels find each lane's words, while the load has its place. */
  get addresses(): readonly number[] {
    return this.#addresses;
  }

  block(index: number): Uint8Array {
    const lanes = this.#addresses.length;
    const lane = index % lanes;
    const start = Math.floor(index / lanes) * this.#blockBytes;
    const copy = this.#copies?.[lane];
    if (copy !== undefined) return copy.subarray(start, start + this.#blockBytes);
    const at = this.#addresses[lane] + start;
    return this.#memory.bytes.subarray(at, at + this.#blockBytes);
  }

  /** Keeps the words that lie from offset `start` to before `end`: that memory is about to change. */
  keep(start: number, end: number): void {
    if (end <= this.#from || this.#to <= start) return;
    let place = this.#place;
    for (let lane = 0; lane < this.#addresses.length; lane++) {
      const at = this.#addresses[lane];
      const length = this.#laneLength(lane);
      // A lane that was copied stays as it was then.
      if (this.#copies?.[lane] === undefined && at !== place && at < end && start < at + length)
        this.#move(lane, place);
      if (place !== undefined) place += length;
    }
  }

  /** The place is used by another load from now on. */
  leave(place: number): void {
    if (this.#place !== place) return;
    this.#place = undefined;
    this.keep(place, place + this.blocks * this.#blockBytes);
  }

  #move(lane: number, place: number | undefined): void {
    const at = this.#addresses[lane];
    const length = this.#laneLength(lane);
    if (place === undefined) {
      this.#copies ??= [];
      this.#copies[lane] = this.#memory.bytes.slice(at, at + length);
      return;
    }
    this.#memory.gather(this.#memory.words, at, place, length / 4);
    this.#addresses[lane] = place;
    this.#from = Math.min(this.#from, place);
    this.#to = Math.max(this.#to, place + length);
  }

  get #blockBytes(): number {
    return CORE_WORDS[this.type] * 4;
  }

  #laneLength(lane: number): number {
    return blocksOfLane(this.blocks, lane, this.#addresses.length) * this.#blockBytes;
  }
}

/** How many of a tile's blocks go to a lane. */
export function blocksOfLane(blocks: number, lane: number, lanes: number): number {
  return Math.max(0, Math.ceil((blocks - lane) / lanes));
}
