import { PynqLlmError } from '../errors/index.js';
import type { DmaBuffer } from './board.js';

/** Who owns a DMA buffer, and that nobody touches it otherwise: the same on hardware and on the mock. */
export abstract class OwnedDmaBuffer implements DmaBuffer {
  #state: 'cpu' | 'device' | 'freed' = 'cpu';

  protected constructor(
    readonly physicalAddress: number,
    readonly byteLength: number,
  ) {}

  /** What the CPU may touch while it owns the buffer. */
  protected abstract memory(): Uint8Array;
  /** The device is about to own the buffer: what the CPU wrote must reach memory. */
  protected abstract handOver(): void;
  /** The CPU is about to own it: what the device wrote must be seen. */
  protected abstract handBack(): void;
  /** The memory may be allocated again. */
  protected abstract release(): void;

  get owner(): 'cpu' | 'device' {
    return this.#state === 'device' ? 'device' : 'cpu';
  }

  get bytes(): Uint8Array {
    this.#requireAlive();
    if (this.#state === 'device')
      throw new PynqLlmError(
        'DRIVER_BUFFER_NOT_OWNED',
        `The DMA buffer at 0x${this.physicalAddress.toString(16)} belongs to the device.`,
        { context: { physicalAddress: this.physicalAddress } },
      );
    return this.memory();
  }

  giveToDevice(): void {
    this.#requireAlive();
    if (this.#state === 'device') return;
    this.handOver();
    this.#state = 'device';
  }

  giveToCpu(): void {
    this.#requireAlive();
    if (this.#state === 'cpu') return;
    this.handBack();
    this.#state = 'cpu';
  }

  free(): void {
    if (this.#state === 'freed') return;
    if (this.#state === 'device') this.giveToCpu();
    this.#state = 'freed';
    this.release();
  }

  #requireAlive(): void {
    if (this.#state === 'freed')
      throw new PynqLlmError(
        'DRIVER_BUFFER_FREED',
        `The DMA buffer at 0x${this.physicalAddress.toString(16)} was freed.`,
        { context: { physicalAddress: this.physicalAddress } },
      );
  }
}
