import { bootMemory, loadBoardDescription, WHERE_BOOT_ARGUMENTS } from '../board/index.js';

const MEBI = 2 ** 20;

/** How a board is booted so that DMA has the memory of its description. */
export interface BootHelp {
  /** MiB of DMA memory. */
  readonly mebibytes: number;
  /** Kept from Linux from this address on; undefined where memory comes from CMA. */
  readonly base: number | undefined;
  /** For the kernel's command line, such as `mem=152M`. */
  readonly argument: string | undefined;
  /** All of it as one text: the argument, where it goes, and the device-tree node that does the same. */
  readonly text: string;
}

/**
 * @param board a shipped description or a .toml file
 * @throws PynqLlmError DRIVER_BOARD_UNKNOWN, DRIVER_BOARD_FILE_INVALID
 */
export function bootHelp(board: string): BootHelp {
  const description = loadBoardDescription(board);
  const { argument, node } = bootMemory(description);
  const mebibytes = description.dmaMemory.reduce((sum, { size }) => sum + size, 0) / MEBI;
  const ways = [
    argument && `add ${argument} to the kernel's command line (${WHERE_BOOT_ARGUMENTS})`,
    node && `reserve it in the device tree: ${node}`,
  ].filter(Boolean);
  return {
    mebibytes,
    base: node === undefined ? undefined : Math.min(...description.dmaMemory.map(({ base }) => base)),
    argument,
    text: `${mebibytes} MiB for DMA: ${ways.join('; or ')}`,
  };
}
