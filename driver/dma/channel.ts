import { AXI_DMA_REGISTERS, DMACR, DMASR, type RegisterWindow } from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { Traffic } from '../traffic.js';

/** MM2S carries memory to the core, S2MM carries results to memory (PG021). */
export type DmaDirection = 'MM2S' | 'S2MM';

const ERRORS = DMASR.INTERNAL_ERROR | DMASR.SLAVE_ERROR | DMASR.DECODE_ERROR;
const ACKNOWLEDGE = DMASR.IOC_IRQ | DMASR.DLY_IRQ | DMASR.ERR_IRQ;

const OFFSETS = {
  MM2S: {
    control: AXI_DMA_REGISTERS.MM2S_DMACR.offset,
    status: AXI_DMA_REGISTERS.MM2S_DMASR.offset,
    address: AXI_DMA_REGISTERS.MM2S_SA.offset,
    addressHigh: AXI_DMA_REGISTERS.MM2S_SA_MSB.offset,
    length: AXI_DMA_REGISTERS.MM2S_LENGTH.offset,
  },
  S2MM: {
    control: AXI_DMA_REGISTERS.S2MM_DMACR.offset,
    status: AXI_DMA_REGISTERS.S2MM_DMASR.offset,
    address: AXI_DMA_REGISTERS.S2MM_DA.offset,
    addressHigh: AXI_DMA_REGISTERS.S2MM_DA_MSB.offset,
    length: AXI_DMA_REGISTERS.S2MM_LENGTH.offset,
  },
} as const;

/**
 * The longest piece that a LENGTH register of so many bits takes, in whole 64-byte lines: pieces then start aligned
 * for engines of any memory width that were built without realignment (PG021, "Data Realignment Engine").
 */
export function longestPiece(lengthBits: number): number {
  return (2 ** lengthBits - 1) & ~63;
}

/**
 * One channel of an AXI DMA in direct register mode. A transfer costs three writes (address, LENGTH, and the
 * acknowledgement of its completion) and at least one read of DMASR; a longer one is split into pieces that each
 * cost the same.
 */
export class DmaChannel {
  /** DMASR as last read. */
  status = 0;
  /** Bytes of the present transfer that its finished pieces have moved. */
  moved = 0;
  /** Bytes asked for in the present transfer. */
  length = 0;
  #address = 0;
  #pieceBytes = 0;
  readonly #offsets: (typeof OFFSETS)[DmaDirection];

  readonly #maxPiece: number;
  readonly #traffic: Traffic;

  constructor(
    readonly window: RegisterWindow,
    readonly direction: DmaDirection,
    maxPiece: number,
    traffic: Traffic,
  ) {
    this.#maxPiece = maxPiece;
    this.#traffic = traffic;
    this.#offsets = OFFSETS[direction];
  }

  get name(): string {
    return `${this.window.name} ${this.direction}`;
  }

  /** Lets a channel that came out of reset run, with interrupts on completion and error. */
  run(): void {
    this.status = 0;
    this.length = 0;
    this.moved = 0;
    this.window.write32(this.#offsets.addressHigh, 0);
    this.window.write32(this.#offsets.control, DMACR.RUN | DMACR.IOC_IRQ_EN | DMACR.ERR_IRQ_EN);
  }

  /** Asks for a soft reset; PG021: it resets both channels of the engine. */
  requestReset(): void {
    this.window.write32(this.#offsets.control, DMACR.RESET);
  }

  inReset(): boolean {
    return (this.window.read32(this.#offsets.control) & DMACR.RESET) !== 0;
  }

  isRunning(): boolean {
    return (this.readStatus() & DMASR.HALTED) === 0;
  }

  readStatus(): number {
    this.status = this.window.read32(this.#offsets.status);
    return this.status;
  }

  /**
   * Starts a transfer.
   * @param address physical, a multiple of 4 below 2^32
   * @param length bytes, a positive multiple of 4. S2MM: the room for one packet, at most one piece long, because a
   *   packet cannot go on in a second transfer
   */
  start(address: number, length: number): void {
    if (length <= 0 || (length | address) & 3 || address + length > 2 ** 32) {
      throw new PynqLlmError(
        'DRIVER_BAD_ARGUMENT',
        `${this.name} cannot transfer ${length} bytes at 0x${address.toString(16)}.`,
        {
          context: { channel: this.name, address, length },
        },
      );
    }
    if (this.direction === 'S2MM' && length > this.#maxPiece) {
      throw new PynqLlmError(
        'DRIVER_BAD_ARGUMENT',
        `A packet of ${length} bytes is longer than ${this.name} can receive (${this.#maxPiece}).`,
        {
          context: { channel: this.name, length, longest: this.#maxPiece },
        },
      );
    }
    this.#address = address;
    this.length = length;
    this.moved = 0;
    this.#startPiece();
  }

  #startPiece(): void {
    this.#pieceBytes = Math.min(this.length - this.moved, this.#maxPiece);
    this.window.write32(this.#offsets.address, this.#address + this.moved);
    this.window.write32(this.#offsets.length, this.#pieceBytes);
    this.#traffic.dmaTransfers++;
    if (this.direction === 'MM2S') {
      this.#traffic.dmaBytes += this.#pieceBytes;
      this.#traffic.dmaBytesToDevice += this.#pieceBytes;
    }
  }

  /** Whether pieces of the transfer are still to be started. */
  get hasMorePieces(): boolean {
    return this.moved + this.#pieceBytes < this.length;
  }

  /** One poll: reads DMASR, and starts the next piece where one ended. True at the end of the transfer or at an error. */
  poll(): boolean {
    const status = this.readStatus();
    if (status & ERRORS) return true;
    if (!(status & DMASR.IOC_IRQ)) return false;
    this.window.write32(this.#offsets.status, ACKNOWLEDGE);
    if (this.direction === 'S2MM') {
      this.moved = this.window.read32(this.#offsets.length);
      this.#traffic.dmaBytes += this.moved;
      this.#traffic.dmaBytesFromDevice += this.moved;
      return true;
    }
    this.moved += this.#pieceBytes;
    if (this.moved === this.length) return true;
    this.#startPiece();
    return false;
  }

  get failed(): boolean {
    return (this.status & ERRORS) !== 0;
  }
}
