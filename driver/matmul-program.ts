import type { Board, DmaBuffer } from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';
import { CORE_BLOCK_BYTES, type CoreType, type GgmlType } from '../gguf/index.js';
import { COMPUTE_WORDS, encodeCompute, encodeLoadWeights } from './instructions.js';
import {
  computeOffset,
  packTile,
  putWords,
  rowsPerTile,
  type TileLayout,
  tileLayout,
  wholeLines,
} from './tile.js';
import { countedBuffer, type Traffic } from './traffic.js';

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
  const full = tileLayout(revision, coreType, kb, Math.min(perTile, rows));
  const last = tileLayout(revision, coreType, kb, rows - (tileCount - 1) * perTile);
  const plan = { kb, rowsPerTile: perTile, tileCount, full, last };
  const bytes =
    placement === 'staged' ? full.bytes * (tileCount - 1) + last.bytes : residentLayout(plan).bytes;
  return { ...plan, bytes };
}

/**
 * Where a resident program's words lie: first lane A's, a tile after the other, each from a cache line on because each is
 * a transfer of its own; then those of each other lane, which one transfer carries for as many tiles as are computed.
 */
interface ResidentLayout {
  /** Where each lane's words start, and how far apart two tiles of it are. */
  readonly lanes: readonly { readonly start: number; readonly step: number }[];
  readonly bytes: number;
}

function residentLayout({ tileCount, full, last }: Omit<TilePlan, 'bytes'>): ResidentLayout {
  let end = 0;
  const lanes = full.lanes.map(({ bytes }, lane) => {
    const start = end;
    const step = lane === 0 ? wholeLines(bytes) : bytes;
    end = start + wholeLines(step * (tileCount - 1) + last.lanes[lane].bytes);
    return { start, step };
  });
  return { lanes, bytes: end };
}

/** A range of physical memory to send. */
export interface Words {
  readonly address: number;
  readonly bytes: number;
}

/**
 * A weight tensor compiled for the core: its tiles packed as the lanes read them, with their instructions. Made by
 * `Accelerator.load`.
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
  /** The columns that its COMPUTE instructions are for. */
  #inputColumns = 1;
  readonly #layout: ResidentLayout;

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
    this.#layout = residentLayout(tiles);
  }

  /**
   * Reads and packs a tensor tile by tile; beside the program itself it takes the memory of one tile.
   * @param mostRows of a tile; as many as the core holds unless given
   * @throws PynqLlmError DRIVER_DMA_MEMORY_FULL, and whatever `readRows` throws; nothing stays allocated then
   */
  static compile(
    board: Board,
    traffic: Traffic,
    tensor: WeightTensor,
    coreType: CoreType,
    placement: 'resident' | 'staged',
    mostRows?: number,
  ): MatMulProgram {
    const tiles = planTiles(board, coreType, tensor.rows, tensor.columns / 256, placement, mostRows);
    if (placement === 'staged') {
      const image = new Uint8Array(tiles.bytes);
      for (let index = 0; index < tiles.tileCount; index++)
        packWholeTile(board, tensor, coreType, tiles, index, image, index * tiles.full.bytes);
      return new MatMulProgram(tensor, coreType, placement, tiles, { image });
    }
    const buffer = countedBuffer(board.allocate(tiles.bytes, { direction: 'to-device' }), traffic);
    try {
      const { lanes } = residentLayout(tiles);
      if (packedTile.length < tiles.full.bytes) packedTile = new Uint8Array(tiles.full.bytes);
      for (let index = 0; index < tiles.tileCount; index++) {
        const layout = packWholeTile(board, tensor, coreType, tiles, index, packedTile, 0);
        layout.lanes.forEach(({ offset, bytes }, lane) => {
          buffer.write(lanes[lane].start + index * lanes[lane].step, packedTile, offset, bytes);
        });
      }
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

  /** Lane A's words of a resident tile: header, blocks and COMPUTE. */
  tileWords(index: number): Words {
    const { start, step } = this.#layout.lanes[0];
    const address = this.#residentBase() + start + index * step;
    return { address, bytes: this.tile(index).lanes[0].bytes };
  }

  /** Words of another lane of the first `tileCount` resident tiles. */
  laneWords(lane: number, tileCount: number): Words {
    const { start, step } = this.#layout.lanes[lane];
    const bytes = tileCount === 0 ? 0 : (tileCount - 1) * step + this.tile(tileCount - 1).lanes[lane].bytes;
    return { address: this.#residentBase() + start, bytes };
  }

  /** A staged tile's image. */
  tileImage(index: number): Uint8Array {
    if (this.#memory === undefined || !('image' in this.#memory)) throw this.#withoutMemory();
    const from = index * this.tiles.full.bytes;
    return this.#memory.image.subarray(from, from + this.tile(index).bytes);
  }

  /**
   * Makes the COMPUTE instructions those for so many columns, unless they are: where resident, they lie far apart in
   * lane A's words, which change hands once.
   */
  setInputColumns(columns: number): void {
    if (columns === this.#inputColumns) return;
    this.#inputColumns = 0;
    const { kb, tileCount, full, last } = this.tiles;
    const images = new Map([full, last].map((layout) => [layout, computeImage(kb, layout.rows, columns)]));
    if (this.#memory !== undefined && 'buffer' in this.#memory) {
      const { buffer } = this.#memory;
      const { start, step } = this.#layout.lanes[0];
      const place = (index: number) => start + index * step + computeOffset(this.tile(index));
      const bytes = place(tileCount - 1) + COMPUTE_WORDS * 4 - place(0);
      buffer.giveToCpu(place(0), bytes);
      for (let i = 0; i < tileCount; i++) buffer.write(place(i), images.get(this.tile(i))!);
      buffer.giveToDevice(place(0), bytes);
    } else
      for (let i = 0; i < tileCount; i++)
        this.tileImage(i).set(images.get(this.tile(i))!, computeOffset(this.tile(i)));
    this.#inputColumns = columns;
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

/** The rows and the image of the tile being packed: once for all tensors, because hundreds would wait for the garbage collector. */
let tileSource = new Uint8Array(0);
let packedTile = new Uint8Array(0);

/** Packs a tile with its instructions, for one column, into an image from `at` on. */
function packWholeTile(
  { description: { revision, capacity } }: Board,
  tensor: WeightTensor,
  coreType: CoreType,
  tiles: TilePlan,
  index: number,
  image: Uint8Array,
  at: number,
): TileLayout {
  const layout = index === tiles.tileCount - 1 ? tiles.last : tiles.full;
  const sourceBytes = layout.blocks * CORE_BLOCK_BYTES[coreType];
  if (tileSource.length < sourceBytes) tileSource = new Uint8Array(sourceBytes);
  const part = tileSource.subarray(0, sourceBytes);
  tensor.readRows(index * tiles.rowsPerTile, layout.rows, part);
  packTile(coreType, layout, part, image, at);
  putWords(image, at, encodeLoadWeights(revision, coreType, layout.blocks, capacity.weightBlocks));
  image.set(computeImage(tiles.kb, layout.rows, 1), at + computeOffset(layout));
  return layout;
}

function computeImage(kb: number, rows: number, columns: number): Uint8Array {
  const image = new Uint8Array(COMPUTE_WORDS * 4);
  putWords(image, 0, encodeCompute(kb, rows, columns));
  return image;
}

/** Bytes of the largest tile image of any type: what a staging buffer must hold. */
export function largestStagedTile({ revision, capacity }: Board['description']): number {
  return tileLayout(revision, 6, 1, capacity.weightBlocks).bytes;
}
