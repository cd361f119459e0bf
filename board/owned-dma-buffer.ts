import { PynqLlmError } from '../errors/index.js';
import type { DmaBuffer, DmaDirection } from './board.js';
import { Ranges } from './ranges.js';

const CACHE_LINE = 64;

/** Who owns the ranges of a DMA buffer, and that nobody touches them otherwise: the same on hardware and on the mock. */
export abstract class OwnedDmaBuffer implements DmaBuffer {
  /** What the device owns, in whole cache lines or up to the buffer's end. */
  readonly #devices = new Ranges();
  #freed = false;

  protected constructor(
    readonly physicalAddress: number,
    readonly byteLength: number,
    readonly direction: DmaDirection,
  ) {}

  protected abstract copyIn(offset: number, source: Uint8Array, at: number, byteLength: number): void;
  protected abstract copyOut(offset: number, into: Uint8Array, at: number, byteLength: number): void;
  /** The device is about to own a range of whole lines: what the CPU wrote must reach memory, if it writes there. */
  protected abstract handOver(offset: number, byteLength: number): void;
  /** The CPU is about to own a range of whole lines: what the device wrote must be seen, if it writes there. */
  protected abstract handBack(offset: number, byteLength: number): void;
  /** The memory may be allocated again. */
  protected abstract release(): void;

  ownerOf(offset = 0, byteLength = this.byteLength - offset): 'cpu' | 'device' | 'both' {
    this.#check(offset, byteLength);
    if (!this.#devices.overlaps(offset, offset + byteLength)) return 'cpu';
    return this.#devices.covers(offset, offset + byteLength) ? 'device' : 'both';
  }

  write(offset: number, source: Uint8Array, at = 0, byteLength = source.length - at): void {
    this.#checkCopy(offset, source, at, byteLength);
    if (this.direction === 'from-device')
      throw new PynqLlmError(
        'DRIVER_BAD_ARGUMENT',
        `The DMA buffer at ${hex(this.physicalAddress)} was allocated for what the device writes; the CPU may not.`,
        { context: { physicalAddress: this.physicalAddress } },
      );
    this.copyIn(offset, source, at, byteLength);
  }

  read(offset: number, into: Uint8Array, at = 0, byteLength = into.length - at): void {
    this.#checkCopy(offset, into, at, byteLength);
    this.copyOut(offset, into, at, byteLength);
  }

  giveToDevice(offset = 0, byteLength = this.byteLength - offset): number {
    this.#check(offset, byteLength);
    const [from, to] = this.#lines(offset, byteLength);
    if (from === to || this.#devices.covers(from, to)) return 0;
    this.handOver(from, to - from);
    this.#devices.add(from, to);
    return this.direction === 'from-device' ? 0 : to - from;
  }

  giveToCpu(offset = 0, byteLength = this.byteLength - offset): number {
    this.#check(offset, byteLength);
    const [from, to] = this.#lines(offset, byteLength);
    // Lines that the CPU owns already may hold what it wrote, and would lose it.
    let bytes = 0;
    for (const [start, end] of this.#devices.within(from, to)) {
      this.handBack(start, end - start);
      bytes += end - start;
    }
    this.#devices.remove(from, to);
    return this.direction === 'to-device' ? 0 : bytes;
  }

  free(): void {
    if (this.#freed) return;
    this.giveToCpu();
    this.#freed = true;
    this.release();
  }

  #lines(offset: number, byteLength: number): readonly [number, number] {
    if (byteLength === 0) return [offset, offset];
    const end = Math.ceil((offset + byteLength) / CACHE_LINE) * CACHE_LINE;
    return [offset - (offset % CACHE_LINE), Math.min(end, this.byteLength)];
  }

  #checkCopy(offset: number, other: Uint8Array, at: number, byteLength: number): void {
    this.#check(offset, byteLength);
    if (!(at >= 0 && at + byteLength <= other.length)) throw this.#outside(at, byteLength, other.length);
    if (byteLength > 0 && this.#devices.overlaps(offset, offset + byteLength))
      throw new PynqLlmError(
        'DRIVER_BUFFER_NOT_OWNED',
        `Of the DMA buffer at ${hex(this.physicalAddress)}, some of bytes ${offset} to ${offset + byteLength} belongs to the device.`,
        { context: { physicalAddress: this.physicalAddress, offset, byteLength } },
      );
  }

  #check(offset: number, byteLength: number): void {
    if (this.#freed)
      throw new PynqLlmError(
        'DRIVER_BUFFER_FREED',
        `The DMA buffer at ${hex(this.physicalAddress)} was freed.`,
        { context: { physicalAddress: this.physicalAddress } },
      );
    const whole = Number.isInteger(offset) && Number.isInteger(byteLength);
    if (!(whole && offset >= 0 && byteLength >= 0 && offset + byteLength <= this.byteLength))
      throw this.#outside(offset, byteLength, this.byteLength);
  }

  #outside(offset: number, byteLength: number, of: number): PynqLlmError {
    return new PynqLlmError(
      'DRIVER_ADDRESS_OUT_OF_RANGE',
      `Bytes ${offset} to ${offset + byteLength} are not within ${of}, for the DMA buffer at ${hex(this.physicalAddress)}.`,
      { context: { physicalAddress: this.physicalAddress, offset, byteLength } },
    );
  }
}

function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
