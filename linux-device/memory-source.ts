import { type BoardDescription, reservation } from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';
import { openDmaHeap } from './dma-heap.js';
import { type DmaMemory, MEMORY_KINDS, type MemoryAbsent, type MemoryKind } from './dma-memory.js';
import type { LinuxSystem } from './linux-system.js';
import { readCma } from './preflight.js';
import { openReservedMemory } from './reserved-memory.js';
import { hex, sizeText } from './system-files.js';
import { openUDmaBuf } from './u-dma-buf.js';
import { makeUDmaBuf, U_DMA_BUF_MANAGER } from './u-dma-buf-devices.js';
import type { UioMap } from './uio.js';
import { openXrtMemory } from './xrt.js';

const MEBI = 2 ** 20;
/** Contiguous memory that a system needs beside ours: network and USB buffers. */
const CMA_FOR_OTHERS = 32 * MEBI;

/** Memory without which the driver cannot do anything. */
export interface LeastMemory {
  readonly bytes: number;
  /** Bytes of the largest buffer: memory has to be in one piece for it. */
  readonly largestPiece: number;
}

export interface MemoryChoice {
  readonly least: LeastMemory;
  /** Only this kind; otherwise the first that is there. */
  readonly kind: MemoryKind | undefined;
  /** Whether /dev/mem may be used. */
  readonly devmem: boolean;
  /** Bytes of each device to send from that is made, instead of those of the description. */
  readonly inBytes?: number | undefined;
}

/**
 * Opens the board's DMA memory.
 *
 * @returns the memory, and why the kinds before it were passed over
 * @throws PynqLlmError LINUX_NO_DMA_MEMORY, LINUX_DMA_MEMORY_SHORT, LINUX_PHYSICAL_ADDRESS_UNKNOWN, and what the kind
 *   that is there throws: it is not passed over then
 */
export function openDmaMemory(
  description: BoardDescription,
  { kind, devmem, least, inBytes }: MemoryChoice,
  system: LinuxSystem,
  uio: readonly UioMap[],
): { memory: DmaMemory; passedOver: readonly string[] } {
  const { files, mapper } = system;
  const devices = description.dmaDevices && { ...description.dmaDevices, ...(inBytes && { inBytes }) };
  const need = new MemoryNeed(description, least, system);
  const open: Record<MemoryKind, () => DmaMemory | MemoryAbsent> = {
    'u-dma-buf': () =>
      devices && files.existsSync(U_DMA_BUF_MANAGER)
        ? makeUDmaBuf(devices, system)
        : openUDmaBuf(files, mapper),
    reserved: () =>
      devices
        ? { absent: 'the board description gives no place to DMA memory' }
        : openReservedMemory(description.dmaMemory, files, mapper, uio, devmem),
    xrt: () => openXrtMemory(files, system.loadXrt, () => need.fromCma('xrt')),
    'dma-heap': () => openDmaHeap(files, system.allocateFromHeap, mapper, () => need.fromCma('dma-heap')),
  };
  const passedOver: string[] = [];
  for (const candidate of kind === undefined ? MEMORY_KINDS : [kind]) {
    const opened = open[candidate]();
    if ('absent' in opened) {
      passedOver.push(`${candidate}: ${opened.absent}`);
      continue;
    }
    try {
      need.check(opened);
    } catch (error) {
      opened.close();
      throw error;
    }
    return { memory: opened, passedOver };
  }
  throw new PynqLlmError(
    'LINUX_NO_DMA_MEMORY',
    `${description.title} needs ${sizeText(need.least)} of DMA memory at least, ${sizeText(need.wanted)} as described, and has none. ${passedOver.join('. ')}. ${need.cmaText()} ${need.remedy('u-dma-buf')}${devices ? '' : ` Or ${need.remedy('reserved')}`}`,
    { context: { needed: need.least, wanted: need.wanted, passedOver, ...need.cmaContext() } },
  );
}

/** How much DMA memory the driver needs, what the board has, and how to get more. */
class MemoryNeed {
  /** Bytes that the driver needs for itself: with less, nothing runs. */
  readonly least: number;
  /** Bytes of the description: as many weights as it allows for stay resident. */
  readonly wanted: number;
  readonly #largestPiece: number;
  readonly #description: BoardDescription;
  readonly #system: LinuxSystem;

  constructor(description: BoardDescription, { bytes, largestPiece }: LeastMemory, system: LinuxSystem) {
    this.#description = description;
    this.#system = system;
    this.least = bytes;
    this.#largestPiece = largestPiece;
    this.wanted = description.dmaMemory.reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * Bytes to ask for where memory comes from CMA: what is wanted, or as much as is free.
   * @throws PynqLlmError LINUX_DMA_MEMORY_SHORT
   */
  fromCma(kind: MemoryKind): number {
    const free = Math.floor(readCma(this.#system.files).free / MEBI) * MEBI;
    if (free < this.least) throw this.#short(kind, free, 'CMA');
    return Math.min(this.wanted, free);
  }

  /** @throws PynqLlmError LINUX_DMA_MEMORY_SHORT, LINUX_PHYSICAL_ADDRESS_UNKNOWN */
  check({ kind, detail, regions }: DmaMemory): void {
    const far = regions.find(({ base, size }) => base + size > 2 ** 32);
    if (far !== undefined)
      throw new PynqLlmError(
        'LINUX_PHYSICAL_ADDRESS_UNKNOWN',
        `${detail} reaches beyond 4 GiB, where the core's DMA engines do not: load u-dma-buf with dma_mask_bit=32.`,
        { context: { base: hex(far.base), size: far.size } },
      );
    const total = regions.reduce((sum, { size }) => sum + size, 0);
    const largest = regions.reduce((most, { size }) => Math.max(most, size), 0);
    if (total < this.least || largest < this.#largestPiece) throw this.#short(kind, total, detail);
  }

  #short(kind: MemoryKind, has: number, where: string): PynqLlmError {
    return new PynqLlmError(
      'LINUX_DMA_MEMORY_SHORT',
      `${this.#description.title} needs ${sizeText(this.least)} of DMA memory at least (${sizeText(this.#largestPiece)} in one piece), ${sizeText(this.wanted)} as described; ${where} has ${sizeText(has)}. ${this.cmaText()} ${this.remedy(kind)}`,
      { context: { kind, needed: this.least, wanted: this.wanted, available: has, ...this.cmaContext() } },
    );
  }

  cmaContext(): { cmaTotal: number; cmaFree: number } {
    const { total, free } = readCma(this.#system.files);
    return { cmaTotal: total, cmaFree: free };
  }

  cmaText(): string {
    const { total, free } = readCma(this.#system.files);
    return total === 0
      ? 'The kernel has no CMA.'
      : `CMA has ${sizeText(total)}, ${sizeText(free)} of it free.`;
  }

  /** The exact change that gives the board the memory of its description. */
  remedy(kind: MemoryKind): string {
    const { total } = readCma(this.#system.files);
    const cma = this.wanted + CMA_FOR_OTHERS;
    const boot = total >= cma ? '' : `Boot with cma=${cma / MEBI}M. `;
    if (kind === 'u-dma-buf' && this.#description.dmaDevices)
      return `${boot}Load the modules that make its devices: modprobe u-dma-buf, modprobe u-dma-buf-mgr.`;
    if (kind === 'u-dma-buf') return `${boot}Load the module: modprobe u-dma-buf udmabuf0=${this.wanted}.`;
    if (kind !== 'reserved') return boot || 'Free contiguous memory: something else holds it.';
    const { base, size } = this.#description.dmaMemory[0];
    return `reserve it in the device tree and give it to UIO: ${reservation(base, size)} dma@${base.toString(16)} { compatible = "generic-uio"; reg = <${hex(base)} ${hex(size)}>; };`;
  }
}
