import type { Board, DmaBuffer } from '../board/index.js';
import { isPynqLlmError, PynqLlmError } from '../errors/index.js';
import { type CoreType, SUPER_BLOCK } from '../gguf/index.js';
import { COMPUTE_WORDS, encodeCompute, encodeLoadWeights } from './instructions.js';
import type { ModelWeights } from './packed/model-weights.js';
import { newOrigins, PackedTensor, type ReadRows } from './packed/packed-tensor.js';
import { computeOffset, putWords, type TileLayout } from './tile.js';
import {
  planTiles,
  type ResidentLayout,
  residentLayout,
  type TensorShape,
  type TilePlan,
  tensorCut,
} from './tile-plan.js';
import { countedBuffer, type Traffic } from './traffic.js';

/** A weight tensor with its blocks. */
export interface WeightTensor extends TensorShape {
  readonly readRows: ReadRows;
}

/** A range of physical memory to send. */
export interface Words {
  readonly address: number;
  readonly bytes: number;
}

/**
 * A weight tensor compiled for the core: its tiles packed as the lanes read them, with their instructions. Tiles
 * of a staged one are packed, or read, when they are used. Made by `Accelerator.load`.
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
  /** Runs of it, for {@link takeTurn}. */
  #turns = 0;
  /** The columns that the COMPUTE instructions of its resident tiles are for. */
  #inputColumns = 1;
  readonly #layout: ResidentLayout;

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
    this.#layout = residentLayout(tiles);
  }

  /**
   * Brings a tensor to where the core reads it, tile by tile: found in DMA memory, read as packed before, or packed from its
   * rows. It takes no memory beside DMA memory but that of one tile, which all tensors share.
   * @throws PynqLlmError DRIVER_DMA_MEMORY_FULL, and whatever `readRows` throws; nothing stays allocated then
   */
  static compile(
    board: Board,
    traffic: Traffic,
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
    const buffer = countedBuffer(allocateAt(board, tiles.bytes, found?.at), traffic);
    const program = new MatMulProgram(tensor, coreType, placement, tiles, { buffer });
    try {
      const isFound =
        found?.at === buffer.physicalAddress &&
        packed.isFound(found.checksum, (index, into) => program.#readBlocks(buffer, packed, index, into));
      if (!isFound) {
        kept?.overwrites();
        packed.load((index, tile) => program.#writeBlocks(buffer, packed, index, tile));
      }
      for (let i = 0; i < tiles.tileCount; i++) program.#writeInstructions(board, buffer, i);
      buffer.giveToDevice();
      kept?.resides(name, { at: buffer.physicalAddress, bytes: tiles.bytes, checksum: packed.checksum });
    } catch (error) {
      buffer.free();
      throw error;
    }
    return program;
  }

  tile(index: number): TileLayout {
    return index === this.tiles.tileCount - 1 ? this.tiles.last : this.tiles.full;
  }

  /** Each tile in turn, one a run. */
  takeTurn(): number {
    this.#turns = (this.#turns + 1) % this.tiles.tileCount;
    return this.#turns;
  }

  /** Lane A's words of a resident tile: header, blocks and COMPUTE. */
  tileWords(index: number): Words {
    const address = this.#residentBase() + this.#place(index, 0);
    return { address, bytes: this.tile(index).lanes[0].bytes };
  }

  /** Words of another lane of the first `tileCount` resident tiles. */
  laneWords(lane: number, tileCount: number): Words {
    const last = tileCount - 1;
    const start = this.#place(0, lane);
    const bytes = last < 0 ? 0 : this.#place(last, lane) + this.tile(last).lanes[lane].bytes - start;
    return { address: this.#residentBase() + start, bytes };
  }

  /**
   * Writes a staged tile with its instructions to a buffer that has room for it.
   * @param columns of the input
   * @throws PynqLlmError DRIVER_STAGED_WEIGHTS, and whatever reading the model's rows throws
   */
  stageTile(board: Board, index: number, columns: number, to: DmaBuffer): void {
    if (this.#memory === undefined || !('packed' in this.#memory)) throw this.#withoutMemory();
    const { packed } = this.#memory;
    const layout = this.tile(index);
    const blocks = packed.layout(index).lanes;
    const tile = packed.tile(index);
    if (tile === undefined)
      throw new PynqLlmError(
        'DRIVER_STAGED_WEIGHTS',
        `Tile ${index} of ${this.name} was read again for use, and is not what was loaded.`,
        { context: { tensor: this.name, tile: index } },
      );
    to.write(0, loadWeightsImage(board, this.coreType, layout));
    layout.lanes.forEach(({ dataOffset }, lane) => {
      to.write(dataOffset, tile, blocks[lane].offset, blocks[lane].bytes);
    });
    to.write(computeOffset(layout), computeImage(this.tiles.kb, layout.rows, columns));
  }

  /**
   * Makes the COMPUTE instructions of resident tiles those for so many columns, unless they are: they lie far apart in
   * lane A's words, which change hands once.
   */
  setInputColumns(columns: number): void {
    if (columns === this.#inputColumns || this.#memory === undefined || !('buffer' in this.#memory)) return;
    this.#inputColumns = 0;
    const { buffer } = this.#memory;
    const { kb, tileCount, full, last } = this.tiles;
    const [forFull, forLast] = [full, last].map(({ rows }) => computeImage(kb, rows, columns));
    const start = this.#computePlace(0);
    const bytes = this.#computePlace(tileCount - 1) + COMPUTE_WORDS * 4 - start;
    buffer.giveToCpu(start, bytes);
    for (let i = 0; i < tileCount - 1; i++) buffer.write(this.#computePlace(i), forFull);
    buffer.write(this.#computePlace(tileCount - 1), forLast);
    buffer.giveToDevice(start, bytes);
    this.#inputColumns = columns;
  }

  /** Where a lane's words of a resident tile begin. */
  #place(index: number, lane: number): number {
    const { start, step } = this.#layout.lanes[lane];
    return start + index * step;
  }

  #computePlace(index: number): number {
    return this.#place(index, 0) + computeOffset(this.tile(index));
  }

  #blocksPlace(index: number, lane: number): number {
    const { offset, dataOffset } = this.tile(index).lanes[lane];
    return this.#place(index, lane) + dataOffset - offset;
  }

  /** Puts each lane's blocks of a packed tile where the lane reads them. */
  #writeBlocks(buffer: DmaBuffer, packed: PackedTensor, index: number, tile: Uint8Array): void {
    packed.layout(index).lanes.forEach(({ offset, bytes }, lane) => {
      buffer.write(this.#blocksPlace(index, lane), tile, offset, bytes);
    });
  }

  /** The other way round. */
  #readBlocks(buffer: DmaBuffer, packed: PackedTensor, index: number, into: Uint8Array): void {
    packed.layout(index).lanes.forEach(({ offset, bytes }, lane) => {
      buffer.read(this.#blocksPlace(index, lane), into, offset, bytes);
    });
  }

  #writeInstructions(board: Board, buffer: DmaBuffer, index: number): void {
    const layout = this.tile(index);
    buffer.write(this.#place(index, 0), loadWeightsImage(board, this.coreType, layout));
    const compute = computeImage(this.tiles.kb, layout.rows, this.#inputColumns);
    buffer.write(this.#computePlace(index), compute);
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

function loadWeightsImage({ description }: Board, coreType: CoreType, { blocks }: TileLayout): Uint8Array {
  const { revision, capacity } = description;
  return imageOf(encodeLoadWeights(revision, coreType, blocks, capacity.weightBlocks));
}

function computeImage(kb: number, rows: number, columns: number): Uint8Array {
  return imageOf(encodeCompute(kb, rows, columns));
}

function imageOf(words: readonly number[]): Uint8Array {
  const image = new Uint8Array(4 * words.length);
  putWords(image, 0, words);
  return image;
}
