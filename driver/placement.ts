import type { BoardDescription } from '../board/index.js';
import { BLOCK_FORMATS, coreTypeOf, paddedRowBytes, SUPER_BLOCK } from '../gguf/index.js';
import { packedBytes } from './packed/packed-tensor.js';
import { wholeLines } from './tile.js';
import { planTiles, type TensorShape, tensorCut } from './tile-plan.js';
import { type TokenCycles, tokenCycles } from './token-cycles.js';
import { type WorkingPlan, workingSizes } from './working-memory.js';

/** Where the weights of a tensor live and who multiplies with them. */
export type Placement = 'resident' | 'staged' | 'cpu';

/** Where one tensor goes, and why. */
export interface TensorPlacement {
  readonly name: string;
  /** GGML's name of the type, such as `Q3_K`. */
  readonly type: string;
  /** M and K. */
  readonly rows: number;
  readonly columns: number;
  readonly placement: Placement;
  readonly reason: string;
  /** Memory for the packed tiles, padding and headers included: DMA memory where resident, what is copied there for each use where staged; 0 for cpu. */
  readonly bytes: number;
  /** What the core multiplies in its place, such as `2 x Q6_K`, where that is not what the file has. */
  readonly form?: string;
  /** Bytes that this form takes more than the file's. */
  readonly extraBytes?: number;
}

/** Plain data: it crosses the wire. */
export interface PlacementReport {
  readonly board: string;
  readonly tensors: readonly TensorPlacement[];
  readonly totals: Readonly<
    Record<Placement, { readonly tensors: number; readonly bytes: number; readonly weights: number }>
  >;
  readonly dmaMemory: {
    readonly total: number;
    /** The driver's own buffers, within `total`. */
    readonly working: number;
    /** Left after all resident tensors. */
    readonly free: number;
  };
  readonly tokenCycles: TokenCycles;
}

/** Free DMA memory: what `Board.dmaMemory()` says. */
export interface FreeMemory {
  readonly total: number;
  readonly free: number;
  readonly largestFree: number;
}

/** The DMA memory of a board on which nothing is loaded but the driver itself: for plans without the board. */
export function emptyMemory(description: BoardDescription, plan?: WorkingPlan): FreeMemory {
  const total = description.dmaMemory.reduce((sum, { size }) => sum + size, 0);
  const free = freePieces(description, {
    total,
    free: total - workingSizes(description, plan).total,
    largestFree: total,
  });
  return { total, free: free.reduce((sum, piece) => sum + piece, 0), largestFree: Math.max(0, ...free) };
}

/**
 * Decides for each tensor whether its weights stay in DMA memory (resident), are copied there tile by tile (staged),
 * or are left to the CPU kernels because the core cannot take them. Pure: nothing is allocated. Of tensors with the
 * same priority the earlier becomes resident first; a tensor that does not fit leaves the room to later ones.
 *
 * Free memory is taken to lie as after start-up: in whole regions, the first of which is used first.
 */
export function planPlacement(
  description: BoardDescription,
  memory: FreeMemory,
  tensors: readonly TensorShape[],
): PlacementReport {
  const pieces = freePieces(description, memory);
  const result: TensorPlacement[] = [];
  for (const i of byPriority(tensors)) result[i] = place(description, tensors[i], pieces);
  return {
    board: description.name,
    tensors: result,
    totals: {
      resident: totalsOf(result, 'resident'),
      staged: totalsOf(result, 'staged'),
      cpu: totalsOf(result, 'cpu'),
    },
    dmaMemory: {
      total: memory.total,
      working: workingSizes(description).total,
      free: pieces.reduce((sum, piece) => sum + piece, 0),
    },
    tokenCycles: tokenCycles(
      description,
      tensors,
      result.map(({ placement }) => placement),
    ),
  };
}

/**
 * Why the core is not to compute a tensor, or undefined where it is.
 * @param force accepts what the core computes right only from power-up: v1's Q4_K and Q5_K
 */
export function refusal(
  description: BoardDescription,
  tensor: TensorShape,
  force = false,
): string | undefined {
  const coreType = coreTypeOf(tensor.type);
  const { name } = BLOCK_FORMATS[tensor.type];
  const kb = tensor.columns / SUPER_BLOCK;
  if (coreType === undefined) return `the core multiplies Q2_K to Q6_K, not ${name}`;
  if (!Number.isInteger(kb) || kb < 1 || tensor.rows < 1)
    return `K = ${tensor.columns} is not a multiple of ${SUPER_BLOCK}`;
  const limit = Math.min(description.capacity.inputBlocks, description.capacity.weightBlocks);
  if (kb > limit) return `a row of ${kb} super-blocks is longer than the ${limit} that the core holds`;
  if (!force && description.revision === 'v1' && (coreType === 4 || coreType === 5)) {
    return `v1 computes ${name} wrongly after a load of Q2_K or Q6_K: scale bit 6 stays stale`;
  }
  if (!description.weightTypes.includes(coreType)) return `the bitstream was built without ${name}`;
  return undefined;
}

/** Bytes of weights by where they go. */
export interface PlacedWeights {
  /** DMA memory, were all of them there that the core takes. */
  readonly wanted: number;
  /** What has room there now, and what would be staged. */
  readonly resident: number;
  readonly staged: number;
  /** Stored as in the file. */
  readonly cpu: number;
}

/** The sums of {@link planPlacement} without its report: a model that is refused is planned many times over to find what fits. */
export function placeWeights(
  description: BoardDescription,
  memory: FreeMemory,
  tensors: readonly TensorShape[],
): PlacedWeights {
  const pieces = freePieces(description, memory);
  let [wanted, resident, staged, cpu] = [0, 0, 0, 0];
  for (const i of byPriority(tensors)) {
    const tensor = tensors[i];
    const sizes = sizesOf(description, tensor);
    if (sizes === undefined) {
      cpu += tensor.rows * paddedRowBytes(tensor.type, tensor.columns);
      continue;
    }
    wanted += sizes.lines;
    if (takePiece(pieces, sizes)) resident += sizes.resident;
    else staged += sizes.staged;
  }
  return { wanted, resident, staged, cpu };
}

/** Bytes of a tensor's packed tiles in a file, 0 where it is not for the core. */
export function packedSize(description: BoardDescription, tensor: TensorShape): number {
  const coreType = coreTypeOf(tensor.type);
  if (coreType === undefined || refusal(description, tensor) !== undefined) return 0;
  return packedBytes(tensorCut({ description }, tensor, coreType));
}

function place(description: BoardDescription, tensor: TensorShape, pieces: number[]): TensorPlacement {
  const { name, rows, columns } = tensor;
  const shape = { name, type: BLOCK_FORMATS[tensor.type].name, rows, columns };
  const sizes = sizesOf(description, tensor);
  if (sizes === undefined)
    return { ...shape, placement: 'cpu', reason: refusal(description, tensor) ?? '', bytes: 0 };
  const { resident: bytes } = sizes;
  if (takePiece(pieces, sizes))
    return { ...shape, placement: 'resident', reason: 'fits into the free DMA memory', bytes };
  const largest = Math.max(0, ...pieces);
  return {
    ...shape,
    placement: 'staged',
    reason: `needs ${bytes} bytes of DMA memory, the largest free piece has ${largest}`,
    bytes: sizes.staged,
  };
}

/** Takes a resident tensor's memory from the first piece that has it. */
function takePiece(pieces: number[], { lines }: TensorSizes): boolean {
  const piece = pieces.findIndex((free) => free >= lines);
  if (piece >= 0) pieces[piece] -= lines;
  return piece >= 0;
}

function byPriority(tensors: readonly TensorShape[]): number[] {
  const order = tensors.map((_, i) => i);
  return tensors.every(({ priority = 0 }) => priority === 0)
    ? order
    : order.sort((a, b) => (tensors[b].priority ?? 0) - (tensors[a].priority ?? 0) || a - b);
}

/** Bytes of a tensor's packed tiles. */
interface TensorSizes {
  readonly resident: number;
  /** Those in whole lines. */
  readonly lines: number;
  readonly staged: number;
}

/** Layers are alike: shapes are planned once. */
const planned = new WeakMap<BoardDescription, Map<string, TensorSizes | undefined>>();
/** Of a board: whoever asks for plans decides what shapes there are. */
const MOST_SHAPES = 1024;

/** Undefined where the core does not take the tensor. */
function sizesOf(description: BoardDescription, tensor: TensorShape): TensorSizes | undefined {
  const known = planned.get(description) ?? new Map<string, TensorSizes | undefined>();
  planned.set(description, known);
  const { type, rows, columns } = tensor;
  const shape = `${type} ${rows} ${columns}`;
  const sizes = known.get(shape);
  if (sizes !== undefined || known.has(shape)) return sizes;
  if (known.size === MOST_SHAPES) known.clear();
  const computed = computeSizes(description, tensor);
  known.set(shape, computed);
  return computed;
}

function computeSizes(description: BoardDescription, tensor: TensorShape): TensorSizes | undefined {
  const coreType = coreTypeOf(tensor.type);
  if (coreType === undefined || refusal(description, tensor) !== undefined) return undefined;
  const bytesOf = (placement: 'resident' | 'staged') =>
    planTiles({ description }, coreType, tensor.rows, tensor.columns / SUPER_BLOCK, placement).bytes;
  const resident = bytesOf('resident');
  return { resident, lines: wholeLines(resident), staged: bytesOf('staged') };
}

/** Free bytes of each region, if what is used lies at the start. */
function freePieces({ dmaMemory }: BoardDescription, { total, free, largestFree }: FreeMemory): number[] {
  let used = total - free;
  return dmaMemory.map(({ size }) => {
    const usedHere = Math.min(size, used);
    used -= usedHere;
    return Math.min(size - usedHere, largestFree);
  });
}

function totalsOf(tensors: readonly TensorPlacement[], placement: Placement) {
  const of = tensors.filter((tensor) => tensor.placement === placement);
  return {
    tensors: of.length,
    bytes: of.reduce((sum, { bytes }) => sum + bytes, 0),
    weights: of.reduce((sum, { rows, columns }) => sum + rows * columns, 0),
  };
}
