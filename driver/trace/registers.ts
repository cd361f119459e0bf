import {
  AXI_DMA_REGISTERS,
  type BoardDescription,
  DMACR,
  DMASR,
  listRegisters,
  type PlacedRegister,
} from '../../board/index.js';

const STATUS_BITS =
  DMASR.HALTED |
  DMASR.INTERNAL_ERROR |
  DMASR.SLAVE_ERROR |
  DMASR.DECODE_ERROR |
  DMASR.IOC_IRQ |
  DMASR.ERR_IRQ;
const CONTROL_BITS = DMACR.RUN | DMACR.RESET | DMACR.IOC_IRQ_EN | DMACR.ERR_IRQ_EN;
const ALL_BITS = 0xffff_ffff;

/** Registers of a board by window and by offset or name, as a trace needs them. */
export class TraceRegisters {
  readonly #byOffset = new Map<string, PlacedRegister>();
  readonly #byName = new Map<string, PlacedRegister>();

  constructor(description: BoardDescription) {
    for (const placed of listRegisters(description)) {
      this.#byOffset.set(`${placed.window} ${placed.register.offset}`, placed);
      this.#byName.set(`${placed.window} ${placed.name}`, placed);
    }
  }

  /** The name of a register; an offset in hexadecimal where it has none. */
  nameOf(window: string, offset: number): string {
    return this.#byOffset.get(`${window} ${offset}`)?.name ?? `0x${offset.toString(16)}`;
  }

  offsetOf(window: string, name: string): number | undefined {
    return this.#byName.get(`${window} ${name}`)?.register.offset;
  }
}

/** Whether a register holds the address of a DMA transfer. */
export function holdsAddress(window: string, name: string): boolean {
  return window.startsWith('dma') && (name === 'MM2S_SA' || name === 'S2MM_DA');
}

/**
 * The bits of a register that have to be the same on another device. DMASR.IDLE may lag the completion, other bits
 * tell how the engine was built; counts, targets and states of the core depend on what was done before.
 */
export function comparedBits(window: string, name: string): number {
  if (window === 'hwc' && /_(COUNT|STATE|TARGET)$/.test(name)) return 0;
  if (!window.startsWith('dma') || !Object.hasOwn(AXI_DMA_REGISTERS, name)) return ALL_BITS;
  if (name.endsWith('_DMASR')) return STATUS_BITS;
  return name.endsWith('_DMACR') ? CONTROL_BITS : ALL_BITS;
}
