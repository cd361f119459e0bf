import { AXI_DMA_REGISTERS, type BoardDescription, DMASR } from '../board/index.js';
import type { Clock } from './clock.js';
import type { DeviceBuffer, DeviceMemory } from './device-memory.js';
import { type ChannelHost, DmaChannel } from './dma-channel.js';
import type { FaultPanel } from './faults.js';

import type { InputLane, OutputLane, Room } from './stream-lanes.js';
import type { Watch } from './watch.js';

/** Cycles of a soft reset (PG021: at least 16 cycles of the slowest clock). */
const RESET_CYCLES = 16;

/** Faults that end a transfer at once, by the bit of DMASR that they raise. */
const ERROR_BITS = [
  ['dma-internal-error', DMASR.INTERNAL_ERROR],
  ['dma-slave-error', DMASR.SLAVE_ERROR],
  ['dma-decode-error', DMASR.DECODE_ERROR],
] as const;

/** The S2MM channel's registers are the MM2S channel's, so much further on. */
const S2MM_REGISTERS = AXI_DMA_REGISTERS.S2MM_DMACR.offset;

/** A transfer that reads or writes a buffer of the device. */
interface Transfer {
  readonly buffer: DeviceBuffer;
  /** Offset in the buffer. */
  readonly start: number;
  readonly byteLength: number;
}

/** What an engine is connected to. */
export interface DmaEngineParts {
  readonly lane: number;
  /** How the engine was built. */
  readonly dma: BoardDescription['dma'];
  readonly clock: Clock;
  readonly memory: DeviceMemory;
  readonly faults: FaultPanel;
  readonly input: InputLane;
  readonly output: OutputLane;
  readonly watch: Watch;
  /** The engine was reset: words under way are lost. */
  readonly onReset: () => void;
}

/** One AXI DMA between physical memory and a lane of the core (PG021, direct register mode). */
export class DmaEngine implements ChannelHost {
  readonly clock: Clock;
  readonly watch: Watch;
  readonly #sender: DmaChannel;
  readonly #receiver: DmaChannel;
  #sending: Transfer | undefined;
  #receiving: Transfer | undefined;
  /** Bytes of the packet so far, also those that the receiving transfer has no room for. */
  #receivedBytes = 0;
  readonly #lane: number;
  readonly #memory: DeviceMemory;
  readonly #faults: FaultPanel;
  readonly #input: InputLane;
  readonly #output: OutputLane;
  readonly #onReset: () => void;

  constructor(parts: DmaEngineParts) {
    this.clock = parts.clock;
    this.watch = parts.watch;
    this.#lane = parts.lane;
    this.#memory = parts.memory;
    this.#faults = parts.faults;
    this.#input = parts.input;
    this.#output = parts.output;
    this.#onReset = parts.onReset;
    const r = AXI_DMA_REGISTERS;
    this.#sender = new DmaChannel('mm2s', this, parts.dma, {
      control: r.MM2S_DMACR.reset,
      status: r.MM2S_DMASR.reset,
    });
    this.#receiver = new DmaChannel('s2mm', this, parts.dma, {
      control: r.S2MM_DMACR.reset,
      status: r.S2MM_DMASR.reset,
    });
    this.#input.onCompleted = () => this.#sent();
  }

  read(offset: number): number {
    return offset < S2MM_REGISTERS ? this.#sender.read(offset) : this.#receiver.read(offset - S2MM_REGISTERS);
  }

  write(offset: number, value: number): void {
    if (offset < S2MM_REGISTERS) this.#sender.write(offset, value);
    else this.#receiver.write(offset - S2MM_REGISTERS, value);
  }

  get isSending(): boolean {
    return this.#sender.isBusy;
  }

  /** Power-up, or soft reset when `cycles` pass until it is over. */
  reset(cycles: number): void {
    const until = this.clock.now + cycles;
    this.#sender.reset(until);
    this.#receiver.reset(until);
    this.#sending = undefined;
    this.#receiving = undefined;
    this.#input.abort();
    this.#output.close();
  }

  /** The CPU took memory back: a transfer that still uses it stops where it is. */
  handedBack(buffer: DeviceBuffer, offset: number, byteLength: number): void {
    const touches = (transfer: Transfer | undefined): boolean =>
      transfer?.buffer === buffer &&
      transfer.start < offset + byteLength &&
      offset < transfer.start + transfer.byteLength;
    if (touches(this.#sending)) {
      this.#stale('mm2s', 'a buffer was handed back to the CPU while it was read');
      this.#sending = undefined;
      this.#input.abort();
    }
    if (touches(this.#receiving)) {
      this.#stale('s2mm', 'a buffer was handed back to the CPU while it was written');
      this.#receiving = undefined;
      this.#output.close();
    }
  }

  resetEngine(): void {
    this.reset(RESET_CYCLES);
    this.#onReset();
  }

  busyStart(channel: DmaChannel): void {
    this.#faults.report('hazard', `${this.#title(channel.name)}: LENGTH was written while a transfer ran`);
  }

  start(channel: DmaChannel, address: number, byteLength: number): void {
    if (this.#faults.anyOn && this.#showsFault(channel)) return;
    const buffer = this.#memory.bufferAt(address, byteLength);
    if (
      buffer?.ownerOf(address - buffer.physicalAddress, byteLength) !== 'device' ||
      (channel === this.#receiver && buffer.direction === 'to-device') ||
      byteLength === 0 ||
      (byteLength | address) & 3
    ) {
      this.#refuse(channel, address, byteLength);
      return;
    }
    const transfer = { buffer, start: address - buffer.physicalAddress, byteLength };
    if (channel === this.#sender) this.#send(transfer);
    else this.#receive(transfer);
  }

  /** Faults that were switched on. */
  #showsFault(channel: DmaChannel): boolean {
    const where = { lane: this.#lane, channel: channel.name };
    for (const [name, bit] of ERROR_BITS)
      if (this.#faults.shows(name, where)) {
        channel.fail(bit);
        return true;
      }
    return this.#faults.shows('dma-never-completes', where) || this.#faults.shows('stale-cache', where);
  }

  /** A transfer that cannot be made: it ends with an error bit, or stops where the CPU's caches would be wrong. */
  #refuse(channel: DmaChannel, address: number, byteLength: number): void {
    const range = `${byteLength} bytes at 0x${address.toString(16)}`;
    const title = this.#title(channel.name);
    if (byteLength === 0 || byteLength % 4 !== 0 || address % 4 !== 0) {
      this.#faults.report('dma-internal-error', `${title}: ${range} are not whole words, one or more`);
      channel.fail(DMASR.INTERNAL_ERROR);
    } else if (!this.#memory.contains(address, byteLength)) {
      this.#faults.report('dma-decode-error', `${title}: ${range} are not DMA memory`);
      channel.fail(DMASR.DECODE_ERROR);
    } else this.#stale(channel.name, `${range} are not in one buffer that was given to the device`);
  }

  #send(transfer: Transfer): void {
    this.#sending = transfer;
    const { buffer, start, byteLength } = transfer;
    this.#input.offer(buffer.source, buffer.offset + start, byteLength / 4);
  }

  #sent(): void {
    if (this.#sending === undefined) return;
    const { byteLength } = this.#sending;
    this.#sending = undefined;
    this.#sender.complete(byteLength);
  }

  #receive(transfer: Transfer): void {
    this.#receiving = transfer;
    this.#receivedBytes = 0;
    this.#output.open(this.#room);
  }

  readonly #room: Room = {
    store: (source, at, words) => this.#store(source, at, words),
    finish: (last) => this.#finish(last),
  };

  #store(source: Int32Array, at: number, words: number): void {
    const receiving = this.#receiving;
    if (receiving === undefined) return;
    const room = Math.max(0, receiving.byteLength - this.#receivedBytes) / 4;
    const fitting = Math.min(words, room);
    receiving.buffer.deviceWrite(receiving.start + this.#receivedBytes, source, at, fitting);
    this.#receivedBytes += words * 4;
  }

  #finish(last: boolean): void {
    const receiving = this.#receiving;
    if (receiving === undefined) return;
    if (this.#receivedBytes > receiving.byteLength) {
      this.#faults.report(
        'result-long',
        `${this.#title('s2mm')}: a packet is longer than LENGTH, ${receiving.byteLength} bytes`,
      );
      this.#endReceiving();
      this.#receiver.fail(DMASR.INTERNAL_ERROR);
    } else if (last) {
      this.#endReceiving();
      this.#receiver.complete(this.#receivedBytes);
    }
  }

  #endReceiving(): void {
    this.#receiving = undefined;
    this.#output.close();
  }

  #stale(channel: 'mm2s' | 's2mm', detail: string): void {
    this.#faults.report('stale-cache', `${this.#title(channel)}: ${detail}`);
  }

  #title(channel: 'mm2s' | 's2mm'): string {
    return `dma${this.#lane} ${channel}`;
  }
}
