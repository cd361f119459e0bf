import { readFileSync } from 'node:fs';
import { CORE_BLOCK_BYTES, CORE_WORDS, type CoreType } from '../../gguf/index.js';
import { laneBlocks } from '../instructions.js';
import { wholeLines } from '../tile.js';
import { type PackedTile, packedTile } from './packed-tile.js';

/** What is used of WebAssembly: Node has it, but only the browser's type library declares it. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: Kernels };
  readonly Memory: new (pages: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
};

/** The kernels of assembly/weights.ts; addresses are byte offsets in the memory. */
interface Kernels {
  packLane(
    source: number,
    stride: number,
    blocks: number,
    blockBytes: number,
    paddedBytes: number,
    to: number,
  ): void;
  takeChecksum(state: number, from: number, byteLength: number): void;
}

const PAGE_BYTES = 65536;
/** The kernels' own data lie below. */
const STATE_ADDRESS = 4096;
const ROWS_ADDRESS = STATE_ADDRESS + 64;
/** Bytes of a checksum. */
export const CHECKSUM_BYTES = 16;

let compiled: object | undefined;
let shared: TileMemory | undefined;

/**
 * Memory for one tile of weights: its rows as the file has them, and the same packed for the lanes. All that is loaded
 * goes through it, tile by tile, so loading takes no memory beside it; all tensors of a thread share it.
 */
export class TileMemory {
  readonly capacityBlocks: number;
  readonly #kernels: Kernels;
  readonly #bytes: Uint8Array;
  readonly #tileAddress: number;

  private constructor(capacityBlocks: number) {
    this.capacityBlocks = capacityBlocks;
    this.#tileAddress = ROWS_ADDRESS + wholeLines(capacityBlocks * CORE_BLOCK_BYTES[6]);
    const end = this.#tileAddress + packedTile(4, 6, capacityBlocks).bytes;
    const pages = Math.ceil(end / PAGE_BYTES);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    compiled ??= new WebAssembly.Module(readFileSync(new URL('./weights.wasm', import.meta.url)));
    this.#kernels = new WebAssembly.Instance(compiled, { env: { memory } }).exports;
    this.#bytes = new Uint8Array(memory.buffer);
  }

  /** @param blocks super-blocks of the largest tile */
  static of(blocks: number): TileMemory {
    if (shared === undefined || shared.capacityBlocks < blocks) shared = new TileMemory(blocks);
    return shared;
  }

  /** The first `byteLength` bytes for rows of a tile. */
  rows(byteLength: number): Uint8Array {
    return this.#bytes.subarray(ROWS_ADDRESS, ROWS_ADDRESS + byteLength);
  }

  /** The first `byteLength` bytes for a packed tile. */
  tile(byteLength: number): Uint8Array {
    return this.#bytes.subarray(this.#tileAddress, this.#tileAddress + byteLength);
  }

  /** Packs the rows, blocks one after another, to the tile. @returns the tile, until the next one */
  pack(coreType: CoreType, { lanes, blocks, bytes }: PackedTile): Uint8Array {
    const blockBytes = CORE_BLOCK_BYTES[coreType];
    const tile = this.tile(bytes);
    lanes.forEach((lane, number) => {
      this.#kernels.packLane(
        ROWS_ADDRESS + number * blockBytes,
        lanes.length * blockBytes,
        laneBlocks(blocks, number, lanes.length),
        blockBytes,
        CORE_WORDS[coreType] * 4,
        this.#tileAddress + lane.offset,
      );
      tile.fill(0, lane.offset + lane.bytes, lane.offset + wholeLines(lane.bytes));
    });
    return tile;
  }

  /** Takes the first `byteLength` bytes of the tile, whole lines, into a checksum: zeros at first. */
  takeChecksum(checksum: Uint8Array, byteLength: number): void {
    this.#bytes.set(checksum, STATE_ADDRESS);
    this.#kernels.takeChecksum(STATE_ADDRESS, this.#tileAddress, byteLength);
    checksum.set(this.#bytes.subarray(STATE_ADDRESS, STATE_ADDRESS + CHECKSUM_BYTES));
  }
}
