import type { Board, DmaBuffer } from '../board/index.js';
import { isPynqLlmError, PynqLlmError } from '../errors/index.js';
import { type CoreType, type GgmlType, SUPER_BLOCK } from '../gguf/index.js';
import { COMPUTE_WORDS, encodeCompute, encodeLoadWeights } from './instructions.js';
import type { ModelWeights } from './packed/model-weights.js';
import { newOrigins, PackedTensor, type ReadRows, type TensorCut } from './packed/packed-tensor.js';
import { computeOffset, putWords, rowsPerTile, type TileLayout, tileLayout, wholeLines } from './tile.js';
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
  readonly readRows: ReadRows;
}

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
 * A weight tensor compiled for the core: its tiles packed as the lanes read them, with their instructions. Tiles of a staged one
 * are packed, or read, when they are used. Made by `Accelerator.load`.
 */
export class MatMulProgram {
  readonly name: string;
  /** M and K of the tensor. */
  readonly rows: number;
  readonly columns: number;
  /** DMA memory that it takes (resident), or that is written for each use of it (staged), in bytes. */
  readonly bytes: number;
  readonly placement: 'resident' | 'staged';
  /** Undefined once the program is unloaded. */
  #memory: ProgramMemory | undefined;
  /** The columns that its COMPUTE instructions are for. */
  #inputColumns = 1;
  readonly #core: Core;
  readonly #layout: ResidentLayout;

  private constructor(
    core: Core,
    tensor: TensorShape,
    readonly coreType: CoreType,
    readonly tiles: TilePlan,
    memory: ProgramMemory,
  ) {
    this.name = tensor.name;
    this.rows = tensor.rows;
    this.columns = tensor.columns;
    this.bytes = tiles.bytes;
    this.#core = core;
    this.#memory = memory;
    this.placement = 'buffer' in memory ? 'resident' : 'staged';
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
      return new MatMulProgram(board.description, tensor, coreType, tiles, { packed });
    }
    const found = kept?.found(name, tiles.bytes);
    const buffer = countedBuffer(allocateAt(board, tiles.bytes, found?.at), traffic);
    try {
      const program = new MatMulProgram(board.description, tensor, coreType, tiles, { buffer });
      const isThere = found?.at === buffer.physicalAddress && program.#holds(buffer, packed, found.checksum);
      if (!isThere) {
        kept?.overwrites();
        packed.load((index, tile) =>
          program.#eachLane(index, packed, program.#starts(index), (at, offset, bytes) =>
            buffer.write(at, tile, offset, bytes),
          ),
        );
      }
      for (let index = 0; index < tiles.tileCount; index++)
        program.#writeInstructions(index, buffer, program.#starts(index));
      buffer.giveToDevice();
      kept?.resides(name, { at: buffer.physicalAddress, bytes: tiles.bytes, checksum: packed.checksum });
      return program;
    } catch (error) {
      buffer.free();
      throw error;
    }
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

  /** Writes a staged tile with its instructions to a buffer that has room for it. @throws PynqLlmError GGUF_READ_FAILED */
  stageTile(index: number, to: DmaBuffer): void {
    if (this.#memory === undefined || !('packed' in this.#memory)) throw this.#withoutMemory();
    const { packed } = this.#memory;
    const starts = this.tile(index).lanes.map(({ offset }) => offset);
    const tile = packed.tile(index);
    this.#eachLane(index, packed, starts, (at, offset, bytes) => to.write(at, tile, offset, bytes));
    this.#writeInstructions(index, to, starts);
  }

  /**
   * Makes the COMPUTE instructions those for so many columns, unless they are: where resident, they lie far apart in
   * lane A's words, which change hands once; staged tiles get theirs as they are staged.
   */
  setInputColumns(columns: number): void {
    if (columns === this.#inputColumns) return;
    this.#inputColumns = 0;
    const { kb, tileCount, full, last } = this.tiles;
    if (this.#memory !== undefined && 'buffer' in this.#memory) {
      const { buffer } = this.#memory;
      const images = new Map([full, last].map((layout) => [layout, computeImage(kb, layout.rows, columns)]));
      const place = (index: number) => this.#starts(index)[0] + computeOffset(this.tile(index));
      const bytes = place(tileCount - 1) + COMPUTE_WORDS * 4 - place(0);
      buffer.giveToCpu(place(0), bytes);
      for (let i = 0; i < tileCount; i++) buffer.write(place(i), images.get(this.tile(i))!);
      buffer.giveToDevice(place(0), bytes);
    }
    this.#inputColumns = columns;
  }

  /** Where the words of each lane of a resident tile start. */
  #starts(index: number): number[] {
    return this.#layout.lanes.map(({ start, step }) => start + index * step);
  }

  /** Whether memory has all of the tensor's blocks where they belong. */
  #holds(buffer: DmaBuffer, packed: PackedTensor, checksum: Uint8Array): boolean {
    return packed.isFound(checksum, (index, into) =>
      this.#eachLane(index, packed, this.#starts(index), (at, offset, bytes) =>
        buffer.read(at, into, offset, bytes),
      ),
    );
  }

  /** Calls `move` with the place of each lane's blocks in memory and in the packed tile. @param starts of each lane's words */
  #eachLane(
    index: number,
    packed: PackedTensor,
    starts: readonly number[],
    move: (at: number, offset: number, bytes: number) => void,
  ): void {
    const { lanes } = this.tile(index);
    packed.layout(index).lanes.forEach(({ offset, bytes }, lane) => {
      move(starts[lane] + lanes[lane].dataOffset - lanes[lane].offset, offset, bytes);
    });
  }

  #writeInstructions(index: number, to: DmaBuffer, [laneA]: readonly number[]): void {
    const { revision, capacity } = this.#core;
    const layout = this.tile(index);
    to.write(
      laneA,
      imageOf(encodeLoadWeights(revision, this.coreType, layout.blocks, capacity.weightBlocks)),
    );
    to.write(laneA + computeOffset(layout), computeImage(this.tiles.kb, layout.rows, this.#inputColumns));
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

type Core = Pick<Board['description'], 'revision' | 'capacity'>;
type ProgramMemory = { readonly buffer: DmaBuffer } | { readonly packed: PackedTensor };

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

function computeImage(kb: number, rows: number, columns: number): Uint8Array {
  return imageOf(encodeCompute(kb, rows, columns));
}

function imageOf(words: readonly number[]): Uint8Array {
  const image = new Uint8Array(4 * words.length);
  putWords(image, 0, words);
  return image;
}

/** Bytes of the largest tile image of any type: what a staging buffer must hold. */
export function largestStagedTile({ revision, capacity }: Board['description']): number {
  return tileLayout(revision, 6, 1, capacity.weightBlocks).bytes;
}
