import {
  type AllocateOptions,
  AXI_DMA_REGISTERS,
  type Board,
  type BoardDescription,
  type BoardFault,
  DMACR,
  type DmaBuffer,
  type OwnedDmaBuffer,
  RegionAllocator,
  type RegisterWindow,
} from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';
import { type DmaMemory, type DmaRegion, type MemoryKind, outlivesProcess } from './dma-memory.js';
import { UioInterrupts, Waiter } from './interrupts.js';
import { type BufferHome, newDmaBuffer } from './linux-dma-buffer.js';
import { type LinuxSystem, thisMachine } from './linux-system.js';
import { checkLogicInterface, resetThroughSlcr } from './logic-reset.js';
import { type LeastMemory, openDmaMemory } from './memory-source.js';
import { checkLogic, checkMachine, type LogicState } from './preflight.js';
import { listUioMaps } from './uio.js';
import { type OpenWindows, openWindows } from './window-source.js';

const CACHE_LINE = 64;
/** A DMA engine finishes the bus transfers under way before it resets (PG021); after this long it hangs. */
const STOP_US = 10_000;

export interface LinuxBoardOptions {
  /** Where DMA memory comes from; otherwise the first way that is there (`report.memory` says which). */
  readonly memory?: MemoryKind;
  /** Bytes of each device to send from that is made, instead of the description's: what the models need. */
  readonly inBytes?: number;
  /** With less DMA memory the board is not opened; any will do unless given. */
  readonly least?: LeastMemory;
  /** Whether /dev/mem may be used for what no UIO device covers. Never by default. */
  readonly devmem?: boolean;
  /** The machine; this one unless a test says otherwise. */
  readonly system?: LinuxSystem;
}

/** What was found when the board was opened. */
export interface LinuxBoardReport {
  readonly memory: {
    readonly kind: MemoryKind;
    readonly detail: string;
    readonly passedOver: readonly string[];
  };
  /** The device node behind each register window. */
  readonly windows: Readonly<Record<string, string>>;
  /** How many UIO interrupts are waited for; with none, registers are polled. */
  readonly interrupts: number;
  readonly logic: LogicState;
}

/** A real board, as the driver sees one, with what was found out about it. */
export interface LinuxBoard extends Board {
  readonly report: LinuxBoardReport;
}

/**
 * Opens the board that this machine is. Everything is checked before the first register is accessed.
 *
 * @param description its `dmaMemory` says what is wanted; that of the opened board says what there is
 * @throws PynqLlmError LINUX_...
 */
export function openLinuxBoard(description: BoardDescription, options: LinuxBoardOptions = {}): LinuxBoard {
  const system = options.system ?? thisMachine;
  const devmem = options.devmem ?? false;
  checkMachine(description, system.platform, system.arch);
  const logic = checkLogic(description, system.files);
  const uio = listUioMaps(system.files);
  const windows = openWindows(description, system.files, system.mapper, uio, devmem);
  let memory: DmaMemory | undefined;
  try {
    const slcr = windows.windows.get('slcr');
    if (slcr !== undefined && logic.fpgaManager !== undefined)
      checkLogicInterface(slcr, description.fpga?.clock ?? 0);
    // What a killed process left running must not write into memory that is about to be deleted.
    if (description.dmaDevices) stopEngines(description, windows, system);
    const chosen = openDmaMemory(
      description,
      {
        kind: options.memory,
        devmem,
        least: options.least ?? { bytes: 0, largestPiece: 0 },
        inBytes: options.inBytes,
      },
      system,
      uio,
    );
    memory = chosen.memory;
    const dmaDevices = Object.entries(windows.devices).filter(
      ([name, path]) => /^dma\d$/.test(name) && path.startsWith('/dev/uio'),
    );
    // A UIO device may have an interrupt that the design does not drive: waiting for it would be waiting in vain.
    const devices = new Set(description.dma.interrupts === false ? [] : dmaDevices.map(([, path]) => path));
    const interrupts = new UioInterrupts(system.files, [...devices], system.waitReadable);
    const { kind, detail } = memory;
    return new MappedBoard(description, system, windows, memory, interrupts, {
      memory: { kind, detail, passedOver: chosen.passedOver },
      windows: windows.devices,
      interrupts: interrupts.size,
      logic,
    });
  } catch (error) {
    memory?.close();
    windows.close();
    throw error;
  }
}

class MappedBoard implements LinuxBoard, BufferHome {
  readonly description: BoardDescription;
  readonly #allocator: RegionAllocator<DmaRegion, OwnedDmaBuffer>;
  readonly #waiter: Waiter;
  #closed = false;
  readonly #system: LinuxSystem;
  readonly #windows: OpenWindows;
  readonly #memory: DmaMemory;
  readonly #interrupts: UioInterrupts;

  constructor(
    description: BoardDescription,
    system: LinuxSystem,
    windows: OpenWindows,
    memory: DmaMemory,
    interrupts: UioInterrupts,
    readonly report: LinuxBoardReport,
  ) {
    this.#system = system;
    this.#windows = windows;
    this.#memory = memory;
    this.#interrupts = interrupts;
    this.description = {
      ...description,
      title: `${description.title} (DMA memory: ${memory.kind})`,
      dmaMemory: memory.regions.map(({ base, size }) => ({ base, size })),
    };
    this.#allocator = new RegionAllocator(memory.regions);
    this.#waiter = new Waiter(system.now, interrupts);
  }

  get isOpen(): boolean {
    return !this.#closed;
  }

  window(name: string): RegisterWindow {
    const window = this.#windows.windows.get(name);
    if (window === undefined)
      throw new PynqLlmError(
        'DRIVER_UNKNOWN_WINDOW',
        `${this.description.title} has no register window "${name}"; it has ${[...this.#windows.windows.keys()].join(', ')}.`,
        { context: { window: name } },
      );
    return window;
  }

  allocate(
    byteLength: number,
    { align = CACHE_LINE, at, direction = 'both' }: AllocateOptions = {},
  ): DmaBuffer {
    this.requireOpen();
    return this.#allocator.allocate(
      byteLength,
      Math.max(align, CACHE_LINE),
      (_address, region, offset) => newDmaBuffer(this, { region, offset, byteLength, direction }),
      at,
    );
  }

  get keepsMemory(): boolean {
    return outlivesProcess(this.#memory);
  }

  dmaMemory(): { total: number; free: number; largestFree: number } {
    return this.#allocator.usage();
  }

  waitUntil(done: () => boolean, timeoutUs: number): boolean {
    this.requireOpen();
    return this.#waiter.waitUntil(done, timeoutUs);
  }

  now(): number {
    return this.#system.now();
  }

  /** Hardware names no faults by itself: the driver reads them from the registers. */
  takeFaults(): readonly BoardFault[] {
    return [];
  }

  resetLogic(): void {
    this.requireOpen();
    resetThroughSlcr(this.#windows.windows.get('slcr'), (us) => void this.#waiter.waitUntil(() => false, us));
  }

  /** Stops the DMA engines first: none may write into memory that is given back. */
  close(): void {
    if (this.#closed) return;
    if (this.#logicStillRuns()) stopEngines(this.description, this.#windows, this.#system);
    this.#closed = true;
    this.#interrupts.close();
    this.#windows.close();
    this.#memory.close();
  }

  requireOpen(): void {
    if (this.#closed)
      throw new PynqLlmError('LINUX_CLOSED', `The board ${this.description.title} was closed.`, {
        context: { board: this.description.name },
      });
  }

  forget(buffer: OwnedDmaBuffer): void {
    this.#allocator.release(buffer);
  }

  /** Logic that was taken away in the meantime has no engines to stop, and an access to it could hang. */
  #logicStillRuns(): boolean {
    try {
      checkLogic(this.description, this.#system.files);
      return true;
    } catch {
      return false;
    }
  }
}

/** Resets every DMA engine: after it none reads or writes memory. */
function stopEngines({ dma }: BoardDescription, { windows }: OpenWindows, system: LinuxSystem): void {
  const { offset } = AXI_DMA_REGISTERS.MM2S_DMACR;
  const waiter = new Waiter(system.now, new UioInterrupts(system.files, [], system.waitReadable));
  for (let lane = 0; lane < dma.lanes; lane++) {
    const engine = windows.get(`dma${lane}`)!;
    engine.write32(offset, DMACR.RESET);
    waiter.waitUntil(() => (engine.read32(offset) & DMACR.RESET) === 0, STOP_US);
  }
}
