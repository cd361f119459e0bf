import type { RegisterWindow } from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';
import type { Mapping } from './mapper.js';
import { hex } from './system-files.js';

/**
 * On armv7 a barrier where memory changes hands orders plain accesses with it, since V8 makes two `dmb` of an atomic one.
 * On arm64 it makes a store-release, which later plain stores may overtake: there each access of a register is atomic.
 */
const IS_ORDERED = process.arch !== 'arm64';

/** Where a window lies in a mapping. */
export interface PlacedMapping {
  readonly mapping: Mapping;
  /** Byte offset of the window in the mapping, a multiple of 4. */
  readonly at: number;
}

/**
 * A register window of a real board. One call is one aligned 32-bit access. Plain accesses take a dozen instructions
 * where atomic ones take 172 on a Cortex-A9; accesses to one device stay in order, and order with memory is kept where
 * DMA memory changes hands. Between two accesses to the same register there are calls that the compiler cannot see
 * through, so that it merges and drops none.
 */
export class MappedWindow implements RegisterWindow {
  #words: Int32Array | undefined;
  readonly #firstWord: number;

  constructor(
    readonly name: string,
    readonly base: number,
    readonly size: number,
    { mapping, at }: PlacedMapping,
  ) {
    this.#words = mapping.words;
    this.#firstWord = at / 4;
  }

  read32(offset: number): number {
    const words = this.#checked(offset);
    const word = this.#firstWord + offset / 4;
    return (IS_ORDERED ? words[word] : Atomics.load(words, word)) >>> 0;
  }

  write32(offset: number, value: number): void {
    const words = this.#checked(offset);
    const word = this.#firstWord + offset / 4;
    if (IS_ORDERED) words[word] = value | 0;
    else Atomics.store(words, word, value | 0);
  }

  /** Every later access throws LINUX_CLOSED. */
  close(): void {
    this.#words = undefined;
  }

  #checked(offset: number): Int32Array {
    if (this.#words === undefined)
      throw new PynqLlmError('LINUX_CLOSED', `The register window ${this.name} was closed.`, {
        context: { window: this.name },
      });
    if (offset % 4 !== 0) throw this.#outside('DRIVER_UNALIGNED_ADDRESS', offset, 'is not aligned');
    if (!(offset >= 0 && offset + 4 <= this.size))
      throw this.#outside('DRIVER_ADDRESS_OUT_OF_RANGE', offset, `is outside of its ${this.size} bytes`);
    return this.#words;
  }

  #outside(
    code: 'DRIVER_UNALIGNED_ADDRESS' | 'DRIVER_ADDRESS_OUT_OF_RANGE',
    offset: number,
    why: string,
  ): PynqLlmError {
    return new PynqLlmError(
      code,
      `An access at offset ${offset} of the window ${this.name} at ${hex(this.base)} ${why}.`,
      { context: { window: this.name, offset } },
    );
  }
}
