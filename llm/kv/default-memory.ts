import { totalmem } from 'node:os';
import type { BoardDescription } from '../../board/index.js';
import { MOST_KERNEL_BYTES } from '../kernels/kernels.js';
import { KvLayout, type KvShape, type KvType } from './layout.js';

/** Sequences of the whole context that there is room for where memory allows it: as many as an engine runs. */
export const SEQUENCES = 8;
/** What weights, the agent and the operating system leave of the memory that is not kept for DMA. */
const SHARE = 1 / 4;

/**
 * Bytes for keys and values where nobody says how many: eight sequences of the whole context, within a quarter of the memory
 * that the board has beside that for DMA.
 *
 * @param board where the model runs; without one, this machine's memory counts
 */
export function defaultKvBytes(
  shape: KvShape,
  type: KvType,
  contextLength: number,
  board: BoardDescription | undefined,
): number {
  const layout = new KvLayout(shape, type);
  const wanted = SEQUENCES * layout.framesOf(contextLength) * layout.frameBytes;
  return Math.min(wanted, SHARE * memoryOf(board), MOST_KERNEL_BYTES / 2);
}

function memoryOf(board: BoardDescription | undefined): number {
  if (board === undefined) return totalmem();
  return board.dmaMemory.reduce((bytes, { size }) => bytes - size, board.memoryBytes);
}
