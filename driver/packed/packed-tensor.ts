import { CORE_BLOCK_BYTES, type CoreType } from '../../gguf/index.js';
import type { PackedFile } from './packed-file.js';
import { type PackedTile, packedTile } from './packed-tile.js';
import { CHECKSUM_BYTES, TileMemory } from './tile-memory.js';

/** How a tensor is cut. */
export interface TensorCut {
  readonly coreType: CoreType;
  /** Super-blocks in a row. */
  readonly kb: number;
  readonly rows: number;
  readonly rowsPerTile: number;
  readonly laneCount: number;
}

/** Where weights that were loaded came from, in bytes as packed. */
export interface WeightOrigins {
  /** Packed from rows of the model file. */
  packed: number;
  /** Read from a file of packed weights. */
  read: number;
  /** Found in DMA memory, where an earlier process had put them. */
  found: number;
}

export function newOrigins(): WeightOrigins {
  return { packed: 0, read: 0, found: 0 };
}

/** Reads `count` rows of GGUF blocks from row `first` into the start of `into`. */
export type ReadRows = (first: number, count: number, into: Uint8Array) => void;

/** A tensor's place in a file of packed weights. */
export interface KeptTensor {
  readonly file: PackedFile;
  readonly index: number;
}

/** Bytes of a tensor's packed tiles, one after the other. */
export function packedBytes({ coreType, kb, rows, rowsPerTile, laneCount }: TensorCut): number {
  const whole = Math.floor(rows / rowsPerTile);
  return (
    whole * packedTile(laneCount, coreType, rowsPerTile * kb).bytes +
    packedTile(laneCount, coreType, (rows % rowsPerTile) * kb).bytes
  );
}

/**
 * The packed tiles of one tensor: from a file where they are kept and right, else packed from the tensor's rows. No more
 * than one tile is in memory at a time.
 */
export class PackedTensor {
  /** Of all tiles, once they were all seen. */
  readonly checksum = new Uint8Array(CHECKSUM_BYTES);
  readonly bytes: number;
  readonly #cut: TensorCut;
  readonly #readRows: ReadRows;
  readonly #kept: KeptTensor | undefined;
  readonly #origins: WeightOrigins;
  readonly #memory: TileMemory;
  readonly #full: PackedTile;
  readonly #last: PackedTile;
  readonly #tileCount: number;
  /** The checksum after each tile that was seen, behind that of none. */
  readonly #checksums: Uint8Array;
  #seen = 0;

  constructor(cut: TensorCut, readRows: ReadRows, origins: WeightOrigins, kept: KeptTensor | undefined) {
    const { coreType, kb, rows, rowsPerTile, laneCount } = cut;
    this.#cut = cut;
    this.#readRows = readRows;
    this.#origins = origins;
    this.#kept = kept;
    this.#tileCount = Math.ceil(rows / rowsPerTile);
    const lastRows = rows - (this.#tileCount - 1) * rowsPerTile;
    this.#last = packedTile(laneCount, coreType, lastRows * kb);
    this.#full = this.#tileCount > 1 ? packedTile(laneCount, coreType, rowsPerTile * kb) : this.#last;
    this.#memory = TileMemory.of(this.#full.blocks);
    this.#checksums = new Uint8Array((this.#tileCount + 1) * CHECKSUM_BYTES);
    this.bytes = packedBytes(cut);
  }

  /** How the blocks of a tile lie in what `tile` returns. */
  layout(index: number): PackedTile {
    return index === this.#tileCount - 1 ? this.#last : this.#full;
  }

  /**
   * Brings every tile in order to `take`, and remembers their checksum. What was not kept is packed, and kept.
   * @param take is given memory that the next tile overwrites; it may get the tiles twice, where the kept ones were wrong
   * @throws whatever `readRows` throws
   */
  load(take: (index: number, tile: Uint8Array) => void): void {
    if (this.#loadKept(take)) return;
    this.#checkingAll((index, offset) => {
      const tile = this.#pack(index);
      this.#kept?.file.write(this.#kept.index, offset, tile);
      take(index, tile);
    });
    this.#kept?.file.wrote(this.#kept.index, this.bytes, this.checksum);
    this.#origins.packed += this.bytes;
  }

  /**
   * One tile, in memory that the next one overwrites: the same bytes as when it was loaded, or first asked for. From the file, or
   * packed where that has others.
   * @returns undefined where the tensor's rows are not what they were either
   * @throws whatever `readRows` throws
   */
  tile(index: number): Uint8Array | undefined {
    const kept = this.#readKept(index, index * this.#full.bytes);
    if (kept !== undefined) {
      if (this.#isAsBefore(index)) return kept;
      this.#kept?.file.distrust(this.#kept.index, `tile ${index} is not what was loaded`);
    }
    const tile = this.#pack(index);
    return this.#isAsBefore(index) ? tile : undefined;
  }

  /** Whether the tile memory holds a tile with the bytes that were seen first; those of a new one are remembered. */
  #isAsBefore(index: number): boolean {
    const at = index * CHECKSUM_BYTES;
    const before = this.#checksums.subarray(at + CHECKSUM_BYTES, at + 2 * CHECKSUM_BYTES);
    const now = this.#checksums.slice(at, at + CHECKSUM_BYTES);
    this.#memory.takeChecksum(now, this.layout(index).bytes);
    if (index < this.#seen) return Buffer.compare(now, before) === 0;
    before.set(now);
    this.#seen = index + 1;
    return true;
  }

  /**
   * Whether memory holds just these tiles.
   * @param readTile reads all lanes' blocks of a tile to their places in `into`, which is zero elsewhere
   */
  isFound(checksum: Uint8Array, readTile: (index: number, into: Uint8Array) => void): boolean {
    this.#checkingAll((index) => {
      const tile = this.#memory.tile(this.layout(index).bytes);
      tile.fill(0);
      readTile(index, tile);
    });
    if (Buffer.compare(this.checksum, checksum) !== 0) return false;
    this.#origins.found += this.bytes;
    return true;
  }

  /** @returns false where nothing is kept, or not what should be */
  #loadKept(take: (index: number, tile: Uint8Array) => void): boolean {
    const { file, index: tensor } = this.#kept ?? {};
    const kept = tensor === undefined ? undefined : file?.checksum(tensor);
    if (file === undefined || tensor === undefined || kept === undefined) return false;
    let isRead = true;
    this.#checkingAll((index, offset) => {
      const tile = isRead ? this.#readKept(index, offset) : undefined;
      if (tile === undefined) isRead = false;
      else take(index, tile);
    });
    if (!isRead) return false;
    if (Buffer.compare(this.checksum, kept) !== 0) {
      file.distrust(tensor, 'a checksum is wrong');
      return false;
    }
    this.#origins.read += this.bytes;
    return true;
  }

  /** Has each tile brought to the tile memory, and takes it into the checksum. */
  #checkingAll(bring: (index: number, offset: number) => void): void {
    this.checksum.fill(0);
    for (let index = 0; index < this.#tileCount; index++) {
      bring(index, index * this.#full.bytes);
      this.#memory.takeChecksum(this.checksum, this.layout(index).bytes);
      this.#checksums.set(this.checksum, (index + 1) * CHECKSUM_BYTES);
    }
    this.#seen = this.#tileCount;
  }

  #readKept(index: number, offset: number): Uint8Array | undefined {
    if (this.#kept === undefined || !this.#kept.file.has(this.#kept.index)) return undefined;
    const tile = this.#memory.tile(this.layout(index).bytes);
    return this.#kept.file.read(this.#kept.index, offset, tile) ? tile : undefined;
  }

  #pack(index: number): Uint8Array {
    const { coreType, kb, rowsPerTile } = this.#cut;
    const layout = this.layout(index);
    const rows = this.#memory.rows(layout.blocks * CORE_BLOCK_BYTES[coreType]);
    this.#readRows(index * rowsPerTile, layout.blocks / kb, rows);
    return this.#memory.pack(coreType, layout);
  }
}
