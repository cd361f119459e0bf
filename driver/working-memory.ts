import type { Board, DmaBuffer } from '../board/index.js';
import { Q8K_BYTES } from '../gguf/index.js';
import { longestPiece } from './dma/channel.js';
import { CONFIG_AND_INPUTS_WORDS, SOFT_MAX_ELEMENTS, SOFT_MAX_WORDS } from './instructions.js';
import { largestStagedTile } from './matmul-program.js';
import { MANIFEST_BYTES } from './packed/weight-manifest.js';
import { wholeLines } from './tile.js';

/** Programs that one call of `multiply` can take. */
export const MAX_PROGRAMS = 32;
/** Bytes for each program's CONFIG, COMPUTE of full tiles and COMPUTE of the last tile: one line each. */
export const INSTRUCTION_SLOT = 64;
export const SLOTS_PER_PROGRAM = 3;
/** A tile of SOFT_MAX with its mask, and its results. */
const SOFT_MAX_TILE = 4 * (SOFT_MAX_WORDS + 2 * SOFT_MAX_ELEMENTS);
const SOFT_MAX_RESULTS = 4 * SOFT_MAX_ELEMENTS;

/** Bytes of DMA memory that the driver keeps for itself, whatever is loaded. */
export interface WorkingSizes {
  /** What of the memory holds weights, for the next process. */
  readonly manifest: number;
  /** CONFIG|LOAD_INP and as many input blocks as the core holds, or a tile of SOFT_MAX. */
  readonly input: number;
  readonly instructions: number;
  /** One staged tile; there are two such buffers. */
  readonly staging: number;
  /** Results of the largest COMPUTE, or what one transfer can carry. */
  readonly output: number;
  readonly total: number;
}

/** The sizes on a board: a function of its description alone. */
export function workingSizes(description: Board['description']): WorkingSizes {
  const { capacity, dma } = description;
  const inputs = CONFIG_AND_INPUTS_WORDS * 4 + capacity.inputBlocks * Q8K_BYTES;
  const input = wholeLines(Math.max(inputs, SOFT_MAX_TILE));
  const instructions = MAX_PROGRAMS * SLOTS_PER_PROGRAM * INSTRUCTION_SLOT;
  const staging = largestStagedTile(description);
  const output = Math.min(
    wholeLines(Math.max(capacity.weightBlocks * capacity.inputBlocks * 4, SOFT_MAX_RESULTS)),
    longestPiece(dma.lengthBits),
  );
  const manifest = MANIFEST_BYTES;
  const total = manifest + input + instructions + 2 * staging + output;
  return { manifest, input, instructions, staging, output, total };
}

/** What the driver needs of a board's DMA memory before anything is loaded. */
export function leastMemory(description: Board['description']): { bytes: number; largestPiece: number } {
  const { manifest, input, instructions, staging, output, total } = workingSizes(description);
  return { bytes: total, largestPiece: Math.max(manifest, input, instructions, staging, output) };
}

/** The driver's own buffers. */
export interface WorkingMemory {
  readonly manifest: DmaBuffer;
  readonly input: DmaBuffer;
  readonly instructions: DmaBuffer;
  /** While the core works on the tile in one, the next tile is copied into the other. */
  readonly staging: readonly [DmaBuffer, DmaBuffer];
  readonly output: DmaBuffer;
}

/** @throws PynqLlmError DRIVER_DMA_MEMORY_FULL */
export function allocateWorkingMemory(board: Board): WorkingMemory {
  const { manifest, input, instructions, staging, output } = workingSizes(board.description);
  const buffers: DmaBuffer[] = [];
  try {
    // The manifest first: the next process must find it.
    buffers.push(board.allocate(manifest));
    for (const bytes of [input, instructions, staging, staging])
      buffers.push(board.allocate(bytes, { direction: 'to-device' }));
    buffers.push(board.allocate(output, { direction: 'from-device' }));
  } catch (error) {
    for (const buffer of buffers) buffer.free();
    throw error;
  }
  return {
    manifest: buffers[0],
    input: buffers[1],
    instructions: buffers[2],
    staging: [buffers[3], buffers[4]],
    output: buffers[5],
  };
}
