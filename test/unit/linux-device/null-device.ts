import { AXI_DMA_REGISTERS, DMACR, DMASR } from '../../../board/registers/axi-dma.js';
import { STATUS_REGISTERS, statusOffset } from '../../../board/registers/control.js';
import type { Mapping, MapRequest } from '../../../linux-device/mapper.js';
import { FakeMachine, type Tree, z1 } from './fake-machine.js';

const MM2S = {
  control: AXI_DMA_REGISTERS.MM2S_DMACR.offset / 4,
  status: AXI_DMA_REGISTERS.MM2S_DMASR.offset / 4,
  length: AXI_DMA_REGISTERS.MM2S_LENGTH.offset / 4,
} as const;
const S2MM_WORDS = AXI_DMA_REGISTERS.S2MM_DMACR.offset / 4;
const INTERRUPTS = DMASR.IOC_IRQ | DMASR.DLY_IRQ | DMASR.ERR_IRQ;

/** A PYNQ-Z1 without counters, which the null device has not. */
export const { hwc: _, ...windows } = z1.windows;
export const nullZ1 = { ...z1, windows };

/**
 * A machine whose core does nothing, at once: each transfer is over when it is started, and results are what the memory
 * holds. What is left is what the driver and the CPU do.
 */
export class NullMachine extends FakeMachine {
  /** Bytes read of memory that UIO maps besides the windows: reserved, and not cached. */
  readBytes = 0;

  /** @param watchesReads whether they are counted, which is slow */
  constructor(tree: Tree, watchesReads = false) {
    super(tree);
    const map = this.mapper.map;
    this.mapper.map = (request: MapRequest): Mapping => {
      const mapping = map(request);
      const [name] = Object.entries(windows)[Number(/^\/dev\/uio(\d)$/.exec(request.path)?.[1] ?? -1)] ?? [];
      if (name === 'control')
        STATUS_REGISTERS.v3.forEach(({ idle }, i) => {
          mapping.words[statusOffset(i) / 4] = idle;
        });
      if (watchesReads && name === undefined && request.path.startsWith('/dev/uio'))
        return { ...mapping, words: this.#watched(mapping.words), bytes: this.#watched(mapping.bytes) };
      return name?.startsWith('dma') ? { ...mapping, words: channels(mapping.words) } : mapping;
    };
  }

  #watched<T extends Uint8Array | Int32Array>(view: T): T {
    return new Proxy(view, {
      get: (target, key) => {
        if (key === 'subarray')
          return (...range: [number, number]) => this.#watched(target.subarray(...range) as T);
        if (typeof key === 'string' && /^\d+$/.test(key)) this.readBytes += target.BYTES_PER_ELEMENT;
        return Reflect.get(target, key);
      },
      set: (target, key, value) => Reflect.set(target, key, value),
    });
  }
}

/** The registers of both channels of an engine. */
function channels(words: Int32Array): Int32Array {
  return new Proxy(words, {
    get: (target, key) => Reflect.get(target, key),
    set(target, key, value: number) {
      const index = Number(key);
      const first = index >= S2MM_WORDS ? S2MM_WORDS : 0;
      if (index - first === MM2S.status) target[index] &= ~(value & INTERRUPTS);
      else target[index] = index - first === MM2S.control ? value & ~DMACR.RESET : value;
      if (index - first === MM2S.length) target[first + MM2S.status] |= DMASR.IOC_IRQ | DMASR.IDLE;
      return true;
    },
  });
}
