import type { BoardDescription } from '../../board/index.js';
import type { SystemMemory } from './budget.js';

/**
 * Linux with the agent, before a model is loaded: the emulated PYNQ-Z1 has 83 MiB in use then (docs/emulated-board.md), and
 * the kernel itself takes 13 MiB that it does not count.
 */
const LINUX_BYTES = 96 * 2 ** 20;

/** What a freshly started board has beside DMA memory, by its description. @param uploads bytes that uploads may take */
export function assumedSystem({ memoryBytes, dmaMemory }: BoardDescription, uploads: number): SystemMemory {
  const forDma = dmaMemory.reduce((sum, { size }) => sum + size, 0);
  return {
    available: Math.max(0, memoryBytes - forDma - LINUX_BYTES),
    source: `${(memoryBytes - forDma) / 2 ** 20} MiB less ${LINUX_BYTES / 2 ** 20} of Linux and agent`,
    uploads,
    isMock: false,
  };
}
