import type { Board, DmaBuffer } from '../board/index.js';
import { isPynqLlmError, PynqLlmError } from '../errors/index.js';
import { type CoreType, type GgmlType, SUPER_BLOCK } from '../gguf/index.js';
import { encodeLoadWeights } from './instructions.js';
import type { ModelWeights } from './packed/model-weights.js';
import { newOrigins, PackedTensor, type ReadRows, type TensorCut } from './packed/packed-tensor.js';
import type { PackedTile } from './packed/packed-tile.js';
import { putWords, rowsPerTile, type TileLayout, tileLayout, wholeLines } from './tile.js';

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
  readonly readRows: ReadRows;
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
  /** Bytes of DMA memory where resident, of what is copied there for each use where staged. */
  readonly bytes: number;
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
 * A weight tensor compiled for the core: its tiles packed as the lanes read them, and their LOAD_WGT headers. Tiles of a staged
 * one are packed, or read, when they are used.
 * Made by `Accelerator.load`.
 */
export class MatMulProgram {
  readonly name: string;
  /** M and K of the tensor. */
  readonly rows: number;
  readonly columns: number;
  /** DMA memory that it takes (resident), or that is written for each use of it (staged), in bytes. */
  readonly bytes: number;
  /** Undefined once the program is unloaded. */
  #memory: { readonly buffer: DmaBuffer } | { readonly packed: PackedTensor } | undefined;

  private constructor(
    tensor: TensorShape,
    readonly coreType: CoreType,
    readonly placement: 'resident' | 'staged',
    readonly tiles: TilePlan,
    memory: { readonly buffer: DmaBuffer } | { readonly packed: PackedTensor },
  ) {
    this.name = tensor.name;
    this.rows = tensor.rows;
    this.columns = tensor.columns;
    this.bytes = tiles.bytes;
    this.#memory = memory;
  }

  /**
   * Brings a tensor to where the core reads it, tile by tile: found in DMA memory, read as packed before, or packed from its
   * rows. It takes no memory beside DMA memory but that of one tile, which all tensors share.
   * @throws PynqLlmError DRIVER_DMA_MEMORY_FULL, and whatever `readRows` throws; nothing stays allocated then
   */
  static compile(
    board: Board,
    tensor: WeightTensor,
    coreType: CoreType,
    placement: 'resident' | 'staged',
    { mostRows, kept }: CompileOptions = {},
  ): MatMulProgram {
    const { name, rows, columns, readRows } = tensor;
    const tiles = planTiles(board, coreType, rows, columns / SUPER_BLOCK, placement, mostRows);
    const cut = tensorCut(board, tensor, coreType, mostRows);
    const packed = new PackedTensor(cut, readRows, kept?.origins ?? newOrigins(), kept?.kept(name));
    if (placement === 'staged') {
      // Packed now, where they are kept: then they need only be read.
      if (kept?.kept(name) !== undefined) packed.load(() => {});
      return new MatMulProgram(tensor, coreType, placement, tiles, { packed });
    }
    const found = kept?.found(name, tiles.bytes);
    const buffer = allocateAt(board, tiles.bytes, found?.at);
    try {
      const isFound =
        found?.at === buffer.physicalAddress &&
        packed.isFound(found.checksum, (index, into) => readTile(buffer, tiles, packed, index, into));
      if (!isFound) {
        kept?.overwrites();
        packed.load((index, tile) => writeTile(buffer, tiles, packed, index, tile));
      }
      buffer.write(0, headerOf(board, coreType, tiles.full));
      buffer.write(HEADERS_BYTES / 2, headerOf(board, coreType, tiles.last));
      buffer.giveToDevice();
      kept?.resides(name, { at: buffer.physicalAddress, bytes: tiles.bytes, checksum: packed.checksum });
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

  /** Writes a staged tile, with its LOAD_WGT header, to a buffer that has room for it. */
  stageTile(board: Board, index: number, to: DmaBuffer): void {
    if (this.#memory === undefined || !('packed' in this.#memory)) throw this.#withoutMemory();
    const { packed } = this.#memory;
    const layout = this.tile(index);
    to.write(0, headerOf(board, this.coreType, layout));
    writeLanes(to, 0, layout, packed.layout(index), packed.tile(index));
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

export interface CompileOptions {
  /** Of a tile; as many as the core holds unless given. */
  readonly mostRows?: number | undefined;
  /** Of the tensor's model. */
  readonly kept?: ModelWeights | undefined;
}

/** At a place where something may lie already, or wherever there is room. */
function allocateAt(board: Board, bytes: number, at: number | undefined): DmaBuffer {
  try {
    return board.allocate(bytes, { at, direction: 'to-device' });
  } catch (error) {
    if (at === undefined || !isPynqLlmError(error, 'DRIVER_DMA_MEMORY_FULL')) throw error;
    return board.allocate(bytes, { direction: 'to-device' });
  }
}

function writeTile(
  buffer: DmaBuffer,
  tiles: TilePlan,
  packed: PackedTensor,
  index: number,
  tile: Uint8Array,
): void {
  const layout = index === tiles.tileCount - 1 ? tiles.last : tiles.full;
  writeLanes(buffer, HEADERS_BYTES + index * tiles.full.bytes, layout, packed.layout(index), tile);
}

/** Puts each lane's blocks of a packed tile where the lane reads them. */
function writeLanes(
  buffer: DmaBuffer,
  base: number,
  layout: TileLayout,
  { lanes }: PackedTile,
  tile: Uint8Array,
): void {
  lanes.forEach(({ offset, bytes }, lane) => {
    buffer.write(base + layout.lanes[lane].dataOffset, tile, offset, bytes);
  });
}

/** The other way round. */
function readTile(
  buffer: DmaBuffer,
  tiles: TilePlan,
  packed: PackedTensor,
  index: number,
  into: Uint8Array,
): void {
  const layout = index === tiles.tileCount - 1 ? tiles.last : tiles.full;
  const base = HEADERS_BYTES + index * tiles.full.bytes;
  packed.layout(index).lanes.forEach(({ offset, bytes }, lane) => {
    buffer.read(base + layout.lanes[lane].dataOffset, into, offset, bytes);
  });
}

function headerOf({ description }: Board, coreType: CoreType, layout: TileLayout): Uint8Array {
  const { revision, capacity } = description;
  const words = encodeLoadWeights(revision, coreType, layout.blocks, capacity.weightBlocks);
  const bytes = new Uint8Array(4 * words.length);
  putWords(bytes, 0, words);
  return bytes;
}

/** Bytes of the largest staged tile image of any type: what a staging buffer must hold. */
export function largestStagedTile({ revision, capacity }: Board['description']): number {
  return wholeLines(tileLayout(revision, 6, 1, capacity.weightBlocks, 'staged').bytes);
}
