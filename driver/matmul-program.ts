import type { Board, DmaBuffer } from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';
import { CORE_BLOCK_BYTES, type CoreType, type GgmlType } from '../gguf/index.js';
import { encodeLoadWeights } from './instructions.js';
import { packTile, putWords, rowsPerTile, type TileLayout, tileLayout, wholeLines } from './tile.js';

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
}

/** A weight tensor with its blocks. */
export interface WeightTensor extends TensorShape {
  /** Reads `count` rows of GGUF blocks from row `first` into the start of `into`. */
  readRows(first: number, count: number, into: Uint8Array): void;
}

/** Bytes that the headers of a resident program take before its tiles: one line each for full and for the last tile. */
const HEADERS_BYTES = 128;

/** How a tensor is cut into tiles and what it takes in memory. */
export interface TilePlan {
  readonly kb: number;
  readonly rowsPerTile: number;
  readonly tileCount: number;
  readonly full: TileLayout;
  /** The last tile, with fewer rows or as many as a full one. */
  readonly last: TileLayout;
  /** Bytes of the program's memory: DMA memory where resident, CPU memory where staged. */
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
  const full = tileLayout(revision, coreType, kb, Math.min(perTile, rows), placement);
  const last = tileLayout(revision, coreType, kb, rows - (tileCount - 1) * perTile, placement);
  const tiles = full.bytes * (tileCount - 1) + last.bytes;
  return {
    kb,
    rowsPerTile: perTile,
    tileCount,
    full,
    last,
    bytes: tiles + (placement === 'resident' ? HEADERS_BYTES : 0),
  };
}

/**
 * A weight tensor compiled for the core: its tiles packed as the lanes read them, and their LOAD_WGT headers.
 * Made by `Accelerator.load`.
 */
export class MatMulProgram {
  readonly name: string;
  /** M and K of the tensor. */
  readonly rows: number;
  readonly columns: number;
  /** DMA memory (resident) or CPU memory (staged) that it takes, in bytes. */
  readonly bytes: number;
  /** Undefined once the program is unloaded. */
  #memory: { readonly buffer: DmaBuffer } | { readonly image: Uint8Array } | undefined;

  private constructor(
    tensor: TensorShape,
    readonly coreType: CoreType,
    readonly placement: 'resident' | 'staged',
    readonly tiles: TilePlan,
    memory: { readonly buffer: DmaBuffer } | { readonly image: Uint8Array },
  ) {
    this.name = tensor.name;
    this.rows = tensor.rows;
    this.columns = tensor.columns;
    this.bytes = tiles.bytes;
    this.#memory = memory;
  }

  /**
   * Reads and packs a tensor tile by tile; beside the program itself it takes the memory of one tile.
   * @param mostRows of a tile; as many as the core holds unless given
   * @throws PynqLlmError DRIVER_DMA_MEMORY_FULL, and whatever `readRows` throws; nothing stays allocated then
   */
  static compile(
    board: Board,
    tensor: WeightTensor,
    coreType: CoreType,
    placement: 'resident' | 'staged',
    mostRows?: number,
  ): MatMulProgram {
    const tiles = planTiles(board, coreType, tensor.rows, tensor.columns / 256, placement, mostRows);
    if (placement === 'staged') {
      const image = new Uint8Array(tiles.bytes);
      packTensor(board, tensor, coreType, tiles, image, 0, true);
      return new MatMulProgram(tensor, coreType, placement, tiles, { image });
    }
    const buffer = board.allocate(tiles.bytes, { direction: 'to-device' });
    try {
      const bytes = new Uint8Array(tiles.bytes);
      headerOf(board, coreType, tiles.full, bytes, 0);
      headerOf(board, coreType, tiles.last, bytes, HEADERS_BYTES / 2);
      packTensor(board, tensor, coreType, tiles, bytes, HEADERS_BYTES, false);
      buffer.write(0, bytes);
      buffer.giveToDevice();
    } catch (error) {
      buffer.free();
      throw error;
    }
    return new MatMulProgram(tensor, coreType, placement, tiles, { buffer });
  }

  tile(index: number): TileLayout {
    return index === this.tiles.tileCount - 1 ? this.tiles.last : this.tiles.full;
  }

  /** Physical address of a resident tile's LOAD_WGT header. */
  headerAddress(index: number): number {
    return this.#residentBase() + (index === this.tiles.tileCount - 1 ? HEADERS_BYTES / 2 : 0);
  }

  /** Physical address of a resident tile's image. */
  tileAddress(index: number): number {
    return this.#residentBase() + HEADERS_BYTES + index * this.tiles.full.bytes;
  }

  /** A staged tile's image. */
  tileImage(index: number): Uint8Array {
    if (this.#memory === undefined || !('image' in this.#memory)) throw this.#withoutMemory();
    const from = index * this.tiles.full.bytes;
    return this.#memory.image.subarray(from, from + this.tile(index).bytes);
  }

  #residentBase(): number {
    if (this.#memory === undefined || !('buffer' in this.#memory)) throw this.#withoutMemory();
    return this.#memory.buffer.physicalAddress;
  }

  #withoutMemory(): PynqLlmError {
    return new PynqLlmError(
      'DRIVER_CLOSED',
      `The program of ${this.name} has no ${this.placement} weights any more.`,
    );
  }

  /** Gives the memory back; the program cannot be used any more. */
  unload(): void {
    if (this.#memory !== undefined && 'buffer' in this.#memory) this.#memory.buffer.free();
    this.#memory = undefined;
  }
}

/** The rows of the tile being packed: one for all tensors, because hundreds would wait for the garbage collector. */
let tileSource = new Uint8Array(0);

function packTensor(
  board: Board,
  tensor: WeightTensor,
  coreType: CoreType,
  tiles: TilePlan,
  image: Uint8Array,
  imageOffset: number,
  withHeaders: boolean,
): void {
  const rowBytes = tiles.kb * CORE_BLOCK_BYTES[coreType];
  const sourceBytes = tiles.full.rows * rowBytes;
  if (tileSource.length < sourceBytes) tileSource = new Uint8Array(sourceBytes);
  for (let index = 0; index < tiles.tileCount; index++) {
    const layout = index === tiles.tileCount - 1 ? tiles.last : tiles.full;
    const part = tileSource.subarray(0, layout.rows * rowBytes);
    tensor.readRows(index * tiles.rowsPerTile, layout.rows, part);
    const at = imageOffset + index * tiles.full.bytes;
    packTile(coreType, layout, part, image, at);
    if (withHeaders) headerOf(board, coreType, layout, image, at);
  }
}

function headerOf(
  { description }: Board,
  coreType: CoreType,
  layout: TileLayout,
  image: Uint8Array,
  offset: number,
): void {
  const { revision, capacity } = description;
  putWords(image, offset, encodeLoadWeights(revision, coreType, layout.blocks, capacity.weightBlocks));
}

/** Bytes of the largest staged tile image of any type: what a staging buffer must hold. */
export function largestStagedTile({ revision, capacity }: Board['description']): number {
  return wholeLines(tileLayout(revision, 6, 1, capacity.weightBlocks, 'staged').bytes);
}
