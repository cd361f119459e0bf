import { CORE_WORDS, type CoreType } from '../../gguf/index.js';

/** A lane's words of a load: in one piece at an offset in the kernels' address space, or copies of several pieces. */
export interface LaneWords {
  readonly at: number;
  readonly copies: readonly Uint8Array[] | undefined;
}

/** One LOAD_WGT: `blocks` super-blocks of one type, block i being number floor(i / lanes) of lane i mod lanes. */
export class WeightLoad {
  /** Where each lane's words lie in the kernels' address space, unless they are copies. */
  readonly addresses: readonly number[];
  /** Words of lanes that no longer lie where the DMA read them; no array while all do. */
  #copies: (Uint8Array | undefined)[] | undefined;

  readonly #memory: Uint8Array;

  constructor(
    readonly type: CoreType,
    readonly blocks: number,
    lanes: readonly LaneWords[],
    memory: Uint8Array,
  ) {
    this.#memory = memory;
    const addresses: number[] = [];
    for (let lane = 0; lane < lanes.length; lane++) {
      const { at, copies } = lanes[lane];
      addresses.push(at);
      if (copies !== undefined) this.#copy(lane, joined(copies));
    }
    this.addresses = addresses;
  }

  /** Whether all lanes' words lie at their `addresses`. */
  get isInPlace(): boolean {
    return this.#copies === undefined;
  }

  laneBytes(lane: number): Uint8Array {
    const at = this.addresses[lane];
    return this.#copies?.[lane] ?? this.#memory.subarray(at, at + this.#laneLength(lane));
  }

  block(index: number): Uint8Array {
    const lanes = this.addresses.length;
    const start = Math.floor(index / lanes) * this.#blockBytes;
    return this.laneBytes(index % lanes).subarray(start, start + this.#blockBytes);
  }

  /** Keeps the words that lie from offset `start` to before `end`: that memory is about to change. */
  keep(start: number, end: number): void {
    for (let lane = 0; lane < this.addresses.length; lane++) {
      const at = this.addresses[lane];
      // A lane that was copied stays as it was then.
      if (this.#copies?.[lane] === undefined && at < end && start < at + this.#laneLength(lane))
        this.#copy(lane, this.laneBytes(lane).slice());
    }
  }

  #copy(lane: number, bytes: Uint8Array): void {
    this.#copies ??= [];
    this.#copies[lane] = bytes;
  }

  get #blockBytes(): number {
    return CORE_WORDS[this.type] * 4;
  }

  #laneLength(lane: number): number {
    return blocksOfLane(this.blocks, lane, this.addresses.length) * this.#blockBytes;
  }
}

export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}

/** How many of a tile's blocks go to a lane. */
export function blocksOfLane(blocks: number, lane: number, lanes: number): number {
  return Math.max(0, Math.ceil((blocks - lane) / lanes));
}
