import { AXI_DMA_REGISTERS, type BoardDescription, DMACR, DMASR } from '../board/index.js';
import type { Clock } from './clock.js';
import type { Watch, Watched } from './watch.js';

/** Bits of DMACR that can be written and read back (PG021): run/stop, interrupt enables, threshold and delay. */
const WRITABLE_CONTROL = 0xffff_7001;
/** A channel's registers, from its first one on. */
const CONTROL = AXI_DMA_REGISTERS.MM2S_DMACR.offset;
const STATUS = AXI_DMA_REGISTERS.MM2S_DMASR.offset;
const ADDRESS = AXI_DMA_REGISTERS.MM2S_SA.offset;
const ADDRESS_HIGH = AXI_DMA_REGISTERS.MM2S_SA_MSB.offset;
const LENGTH = AXI_DMA_REGISTERS.MM2S_LENGTH.offset;
const INTERRUPTS = DMASR.IOC_IRQ | DMASR.DLY_IRQ | DMASR.ERR_IRQ;

/** What a channel asks of the engine around it. */
export interface ChannelHost {
  readonly clock: Clock;
  readonly watch: Watch;
  /** Soft reset, asked for through either channel. */
  resetEngine(): void;
  /** A transfer starts; the host ends it with `complete` or `fail`, or never. */
  start(channel: DmaChannel, address: number, byteLength: number): void;
  /** LENGTH was written while a transfer ran. */
  busyStart(channel: DmaChannel): void;
}

/** One channel of an AXI DMA in direct register mode, as software sees it (PG021). */
export class DmaChannel implements Watched {
  lookedAt = -1;
  #control: number;
  #status: number;
  #address = 0;
  #addressHigh = 0;
  #length = 0;
  /** Whether any transfer was started since the reset: the idle bit stays 0 before. */
  #used = false;
  #busy = false;
  /** Cycle at which a soft reset is over. */
  #resetUntil = 0;
  /** The bits that LENGTH has. */
  readonly #lengthMask: number;
  /** Whether addresses are wider than 32 bits. */
  readonly #hasUpperWord: boolean;
  /** Whether the interrupt output is connected. */
  readonly #interrupts: boolean;
  readonly #host: ChannelHost;
  readonly #resetValues: { readonly control: number; readonly status: number };

  constructor(
    readonly name: 'mm2s' | 's2mm',
    host: ChannelHost,
    { lengthBits, addressBits, interrupts = true }: BoardDescription['dma'],
    resetValues: { readonly control: number; readonly status: number },
  ) {
    this.#host = host;
    this.#resetValues = resetValues;
    this.#lengthMask = 2 ** lengthBits - 1;
    this.#hasUpperWord = addressBits !== 32;
    this.#interrupts = interrupts;
    this.#control = resetValues.control;
    this.#status = resetValues.status & ~DMASR.HALTED;
  }

  get isBusy(): boolean {
    return this.#busy;
  }

  /** Offsets without a register read 0. LENGTH is what was asked for, or received once a transfer is complete. */
  read(offset: number): number {
    switch (offset) {
      case CONTROL:
        this.#host.watch.look(this);
        return (this.#control | (this.#inReset ? DMACR.RESET : 0)) >>> 0;
      case STATUS:
        this.#host.watch.look(this);
        return this.#statusNow();
      case ADDRESS:
        return this.#address;
      case ADDRESS_HIGH:
        return this.#addressHigh;
      case LENGTH:
        this.#host.watch.look(this);
        return this.#length;
      default:
        return 0;
    }
  }

  write(offset: number, value: number): void {
    switch (offset) {
      case CONTROL:
        this.#writeControl(value);
        return;
      case STATUS:
        // Interrupt bits are cleared by writing 1; all others are read only.
        this.#status &= ~(value & INTERRUPTS);
        return;
      case ADDRESS:
        this.#address = value;
        return;
      case ADDRESS_HIGH:
        if (this.#hasUpperWord) this.#addressHigh = value;
        return;
      case LENGTH:
        this.#writeLength(value);
    }
  }

  #writeControl(value: number): void {
    if (this.#inReset) return;
    if ((value & DMACR.RESET) !== 0) {
      this.#host.resetEngine();
      return;
    }
    const fixed = this.#resetValues.control & ~WRITABLE_CONTROL;
    this.#control = ((value & WRITABLE_CONTROL) | fixed) >>> 0;
  }

  #statusNow(): number {
    const running = (this.#control & DMACR.RUN) !== 0;
    const halted = !running && !this.#busy;
    const idle = running && this.#used && !this.#busy;
    return (this.#status | (halted ? DMASR.HALTED : 0) | (idle ? DMASR.IDLE : 0)) >>> 0;
  }

  /** Starts a transfer; does nothing while the channel is halted. */
  #writeLength(value: number): void {
    if (this.#inReset || (this.#control & DMACR.RUN) === 0) return;
    if (this.#busy) {
      this.#host.busyStart(this);
      return;
    }
    this.#length = value & this.#lengthMask;
    this.#used = true;
    this.#busy = true;
    this.#host.start(this, this.#addressHigh * 2 ** 32 + this.#address, this.#length);
  }

  /** The transfer is over. @param byteLength what LENGTH reads afterwards */
  complete(byteLength: number): void {
    this.#busy = false;
    this.#length = byteLength;
    this.#status |= DMASR.IOC_IRQ;
    this.#host.watch.change(this);
  }

  /** The channel halts with an error bit of DMASR; only a reset makes it usable again. */
  fail(error: number): void {
    this.#busy = false;
    this.#control &= ~DMACR.RUN;
    this.#status |= error | DMASR.ERR_IRQ;
    this.#host.watch.change(this);
    if (this.#interrupts && this.#control & DMACR.ERR_IRQ_EN) this.#host.watch.interrupt();
  }

  reset(until: number): void {
    this.#control = this.#resetValues.control;
    this.#status = this.#resetValues.status & ~DMASR.HALTED;
    this.#address = 0;
    this.#addressHigh = 0;
    this.#length = 0;
    this.#used = false;
    this.#busy = false;
    this.#resetUntil = until;
    this.#host.clock.at(until, () => this.#host.watch.change(this));
  }

  get #inReset(): boolean {
    return this.#host.clock.now < this.#resetUntil;
  }
}
