import { AXI_DMA_REGISTERS, DMACR, DMASR, type RegisterWindow } from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { Traffic } from '../traffic.js';

/** MM2S carries memory to the core, S2MM carries results to memory (PG021). */
export type DmaDirection = 'MM2S' | 'S2MM';

const ERRORS = DMASR.INTERNAL_ERROR | DMASR.SLAVE_ERROR | DMASR.DECODE_ERROR;
const ACKNOWLEDGE = DMASR.IOC_IRQ | DMASR.DLY_IRQ | DMASR.ERR_IRQ;
/** Bytes of a transfer to the core that may take longer than a waiting driver looks before it sleeps. */
const LONG_BYTES = 16_384;

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
 * One channel of an AXI DMA in direct register mode. A transfer costs two writes (address, LENGTH). One whose end is
 * looked for costs a read of DMASR for each look, and one write more where DMASR may still show the end of an earlier one.
 * A transfer longer than a piece is split; the end of each piece is looked for.
 */
export class DmaChannel {
  /** DMASR as last read. */
  status = 0;
  /** Bytes of the present transfer that its finished pieces have moved. */
  moved = 0;
  /** Bytes asked for in the present transfer. */
  length = 0;
  /** Whether a transfer was started whose end is not known. */
  underWay = false;
  #address = 0;
  #pieceBytes = 0;
  #awaited = true;
  /** Whether DMASR shows the end of an earlier piece, or will before the next one. */
  #endMayShow = false;
  /** Whether the end of a transfer raises an interrupt. */
  #interrupts = false;
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

  /** Lets a channel that came out of reset run, with interrupts on errors; of results, on completion too. */
  run(): void {
    this.status = 0;
    this.length = 0;
    this.moved = 0;
    this.underWay = false;
    this.#endMayShow = false;
    this.window.write32(this.#offsets.addressHigh, 0);
    this.#setInterrupts(this.direction === 'S2MM');
  }

  #setInterrupts(onCompletion: boolean): void {
    this.#interrupts = onCompletion;
    const enabled = onCompletion ? DMACR.IOC_IRQ_EN : 0;
    this.window.write32(this.#offsets.control, DMACR.RUN | DMACR.ERR_IRQ_EN | enabled);
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
   * @param awaited whether `poll` will look for its end. Of others it is known by what follows from it; they raise no
   *   interrupt, which would wake the driver in vain
   * @param address physical, a multiple of 4 below 2^32
   * @param length bytes, a positive multiple of 4. S2MM: the room for one packet, at most one piece long, because a
   *   packet cannot go on in a second transfer
   */
  start(address: number, length: number, awaited = true): void {
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
    this.underWay = true;
    this.#awaited = awaited;
    if (this.direction === 'MM2S') {
      const interrupts = length > this.#maxPiece || (awaited && length > LONG_BYTES);
      if (interrupts !== this.#interrupts) {
        if (interrupts) this.#acknowledge();
        this.#setInterrupts(interrupts);
      }
    }
    this.#startPiece();
  }

  #startPiece(): void {
    this.#pieceBytes = Math.min(this.length - this.moved, this.#maxPiece);
    if (this.#endMayShow && (this.#awaited || this.hasMorePieces)) this.#acknowledge();
    this.window.write32(this.#offsets.address, this.#address + this.moved);
    this.window.write32(this.#offsets.length, this.#pieceBytes);
    this.#endMayShow = true;
    this.#traffic.dmaTransfers++;
    this.#traffic.dmaBytes += this.#pieceBytes;
    if (this.direction === 'MM2S') this.#traffic.dmaBytesToDevice += this.#pieceBytes;
    else this.#traffic.dmaBytesFromDevice += this.#pieceBytes;
  }

  #acknowledge(): void {
    if (this.#endMayShow) this.window.write32(this.#offsets.status, ACKNOWLEDGE);
    this.#endMayShow = false;
  }

  /** Whether pieces of the transfer are still to be started. */
  get hasMorePieces(): boolean {
    return this.moved + this.#pieceBytes < this.length;
  }

  /**
   * One look for the end of a piece: reads DMASR, and starts the next piece where one ended. Of an awaited transfer true
   * at its end, of any at an error.
   */
  poll(): boolean {
    const status = this.readStatus();
    if (status & ERRORS) return true;
    if (!(status & DMASR.IOC_IRQ)) return false;
    if (this.hasMorePieces) {
      this.moved += this.#pieceBytes;
      this.#startPiece();
      return false;
    }
    if (!this.#awaited) return false;
    this.finished();
    return true;
  }

  /** The transfer is over: DMASR says so, or what followed from it. */
  finished(): void {
    this.moved = this.length;
    this.underWay = false;
  }

  /** Bytes of the packet that the finished transfer received; LENGTH holds them until the next one (PG021). */
  readReceived(): number {
    this.moved = this.window.read32(this.#offsets.length);
    return this.moved;
  }

  /** Finds out after a fault how far the transfer came, by the idle bit: nobody may have waited for its end. */
  inspect(): void {
    const status = this.readStatus();
    if (!this.underWay || status & ERRORS || !(status & DMASR.IDLE) || this.hasMorePieces) return;
    this.finished();
    if (this.direction === 'S2MM') this.readReceived();
  }

  get failed(): boolean {
    return (this.status & ERRORS) !== 0;
  }
}
