import type { BoardDescription, DmaBuffer, DmaDirection } from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';
import type { LinuxBoardOptions } from './board.js';
import { type DmaRegion, outlivesProcess } from './dma-memory.js';
import { type BufferHome, newDmaBuffer } from './linux-dma-buffer.js';
import { thisMachine } from './linux-system.js';
import { openDmaMemory } from './memory-source.js';
import { checkMachine } from './preflight.js';
import { listUioMaps } from './uio.js';

/** A board's DMA memory without its logic, for a core that is simulated. */
interface LinuxMemory {
  readonly regions: readonly DmaRegion[];
  /** A buffer that nothing else lies in; the caller keeps account of that. @throws PynqLlmError LINUX_CLOSED, from its members */
  buffer(region: DmaRegion, offset: number, byteLength: number, direction: DmaDirection): DmaBuffer;
  /** It keeps its contents when the process ends, and is not cleared. */
  readonly keepsMemory: boolean;
  close(): void;
}

/**
 * Opens the DMA memory of the board that this machine is; its logic is neither looked at nor touched.
 *
 * @throws PynqLlmError LINUX_...
 */
export function openLinuxMemory(description: BoardDescription, options: LinuxBoardOptions = {}): LinuxMemory {
  const {
    system = thisMachine,
    memory: kind,
    least = { bytes: 0, largestPiece: 0 },
    devmem = false,
  } = options;
  checkMachine(description, system.platform, system.arch);
  const { memory } = openDmaMemory(
    description,
    { kind, devmem, least, inBytes: options.inBytes },
    system,
    listUioMaps(system.files),
  );
  const home = new MemoryHome(description);
  return {
    regions: memory.regions,
    keepsMemory: outlivesProcess(memory),
    buffer: (region, offset, byteLength, direction) =>
      newDmaBuffer(home, { region, offset, byteLength, direction }),
    close: () => {
      if (!home.isOpen) return;
      home.isOpen = false;
      memory.close();
    },
  };
}

class MemoryHome implements BufferHome {
  isOpen = true;
  readonly #description: BoardDescription;

  constructor(description: BoardDescription) {
    this.#description = description;
  }

  requireOpen(): void {
    if (!this.isOpen)
      throw new PynqLlmError('LINUX_CLOSED', `The DMA memory of ${this.#description.title} was closed.`, {
        context: { board: this.#description.name },
      });
  }

  forget(): void {}
}
