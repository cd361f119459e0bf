import type { MemoryRegion } from '../../../board/region-allocator.js';
import { newDmaBuffer } from '../../../linux-device/linux-dma-buffer.js';
import type { ExternalMemory } from '../../../mock-device/index.js';

/** A region of it. */
export interface TestRegion extends MemoryRegion {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly caches: undefined;
}

/**
 * Memory as a board's reserved memory is mapped, over plain memory, with the buffers of a real board.
 * @param watch makes of the words what the CPU and the mock are given
 */
export function testMemory(
  regions: readonly MemoryRegion[],
  watch: (words: Int32Array) => Int32Array = (words) => words,
): ExternalMemory & { readonly regions: readonly TestRegion[]; readonly isOpen: boolean } {
  const home = { isOpen: true, requireOpen: () => {}, forget: () => {} };
  return {
    regions: regions.map(({ base, size }) => {
      const memory = new ArrayBuffer(size);
      const words = watch(new Int32Array(memory));
      return { base, size, bytes: new Uint8Array(memory), words, caches: undefined };
    }),
    buffer: (region, offset, byteLength, direction) =>
      newDmaBuffer(home, { region: region as TestRegion, offset, byteLength, direction }),
    keepsMemory: true,
    close: () => {
      home.isOpen = false;
    },
    get isOpen() {
      return home.isOpen;
    },
  };
}

/** Words that can only be read and written one by one: all else of an array ends in unaligned or wider accesses. */
export function onlyWords(words: Int32Array): Int32Array {
  return new Proxy(words, {
    get: (target, key) => {
      // A view touches nothing; what is done with it is watched too.
      if (key === 'subarray') return (begin: number, end: number) => onlyWords(target.subarray(begin, end));
      if (key === 'length' || (typeof key === 'string' && /^\d+$/.test(key))) return Reflect.get(target, key);
      throw new Error(`device memory was asked for its ${String(key)}`);
    },
    set: (target, key, value) => {
      if (typeof key === 'string' && /^\d+$/.test(key) && Number(key) < words.length)
        return Reflect.set(target, key, value);
      throw new Error(`device memory was written at ${String(key)}`);
    },
  });
}
