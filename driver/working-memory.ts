import type { Board, DmaBuffer, DmaDirection } from '../board/index.js';
import { Q8K_BYTES } from '../gguf/index.js';
import { longestPiece } from './dma/channel.js';
import { CONFIG_AND_INPUTS_WORDS, SOFT_MAX_ELEMENTS, SOFT_MAX_WORDS } from './instructions.js';
import { MANIFEST_BYTES } from './packed/weight-manifest.js';
import { wholeLines } from './tile.js';
import { largestStagedTile } from './tile-plan.js';
import { countedBuffer, type Traffic } from './traffic.js';

/** Programs that one call of `multiply` can take. */
export const MAX_PROGRAMS = 32;
/** Bytes for the CONFIG of each program but the first, behind the inputs. */
export const CONFIG_SLOT = 64;
/** Staged tiles in DMA memory: one that the core works on, the next one, and one that the core is done with for sure. */
const STAGED_TILES = 3;
/** A tile of SOFT_MAX with its mask, and its results. */
const SOFT_MAX_TILE = 4 * (SOFT_MAX_WORDS + 2 * SOFT_MAX_ELEMENTS);
const SOFT_MAX_RESULTS = 4 * SOFT_MAX_ELEMENTS;

/** Bytes of DMA memory that the driver keeps for itself, whatever is loaded. */
export interface WorkingSizes {
  /** What of the memory holds weights, for the next process. */
  readonly manifest: number;
  /** CONFIG|LOAD_INP, as many input blocks as the core holds and the CONFIG of further programs, or a tile of SOFT_MAX. */
  readonly input: number;
  /** One staged tile; there are three such buffers, or none where a plan has no staged weights. */
  readonly staging: number;
  /** Results of the largest COMPUTE, or what one transfer can carry. */
  readonly output: number;
  readonly total: number;
}

/** What is known of all that will be loaded, where the driver's buffers are to be no larger than that needs. */
export interface WorkingPlan {
  /** Whether weights will be staged: without them there are no staging buffers. */
  readonly staged: boolean;
  /** Bytes of results that come at a time: at least those of a tile. */
  readonly resultBytes: number;
}

/** The sizes on a board: a function of its description and, where there is one, a plan. */
export function workingSizes(description: Board['description'], plan?: WorkingPlan): WorkingSizes {
  const { capacity, dma } = description;
  const inputs = CONFIG_AND_INPUTS_WORDS * 4 + capacity.inputBlocks * Q8K_BYTES;
  const input = wholeLines(Math.max(inputs, SOFT_MAX_TILE)) + (MAX_PROGRAMS - 1) * CONFIG_SLOT;
  const staging = plan?.staged === false ? 0 : largestStagedTile(description);
  const results = plan?.resultBytes ?? capacity.weightBlocks * capacity.inputBlocks * 4;
  const output = Math.min(wholeLines(Math.max(results, SOFT_MAX_RESULTS)), longestPiece(dma.lengthBits));
  const manifest = MANIFEST_BYTES;
  const total = manifest + input + STAGED_TILES * staging + output;
  return { manifest, input, staging, output, total };
}

/** What the driver needs of a board's DMA memory before anything is loaded. */
export function leastMemory(description: Board['description']): { bytes: number; largestPiece: number } {
  const { manifest, input, staging, output, total } = workingSizes(description);
  return { bytes: total, largestPiece: Math.max(manifest, input, staging, output) };
}

/** The driver's own buffers. */
export interface WorkingMemory {
  readonly manifest: DmaBuffer;
  readonly input: DmaBuffer;
  /** While the core works on the tile in one, the next tile is copied into another. */
  readonly staging: readonly DmaBuffer[];
  readonly output: DmaBuffer;
}

/** @throws PynqLlmError DRIVER_DMA_MEMORY_FULL */
export function allocateWorkingMemory(board: Board, traffic: Traffic, plan?: WorkingPlan): WorkingMemory {
  const sizes = workingSizes(board.description, plan);
  const buffers: DmaBuffer[] = [];
  const allocate = (bytes: number, direction: DmaDirection): DmaBuffer => {
    const buffer = countedBuffer(board.allocate(bytes, { direction }), traffic);
    buffers.push(buffer);
    return buffer;
  };
  try {
    return {
      // The manifest first: the next process must find it.
      manifest: allocate(sizes.manifest, 'both'),
      input: allocate(sizes.input, 'to-device'),
      staging: Array.from({ length: sizes.staging > 0 ? STAGED_TILES : 0 }, () =>
        allocate(sizes.staging, 'to-device'),
      ),
      output: allocate(sizes.output, 'from-device'),
    };
  } catch (error) {
    for (const buffer of buffers) buffer.free();
    throw error;
  }
}
