import { PynqLlmError } from '../errors/index.js';
import { Q8K_BYTES } from '../gguf/index.js';
import { type KernelMemory, PREPARED_INPUT, reserveMemory } from './kernel.js';

const PAGE = 65536;

const INPUT_BLOCKS = 512;
const WEIGHT_BLOCKS = 1024;
/** Bytes of a block of the widest weight type in a lane's stream. */
const WEIGHT_BYTES = 212;
/** What the kernels need of 512 columns (assembly/multiply.ts), and where it begins. */
const SCRATCH_BYTES = 688 + 8 * 512;
const SCRATCH = PAGE + 64;
const INPUTS = Math.ceil((SCRATCH + SCRATCH_BYTES) / 64) * 64;
const GATHERED_INPUTS = INPUTS + INPUT_BLOCKS * PREPARED_INPUT.bytes;
const GATHERED_WEIGHTS = GATHERED_INPUTS + INPUT_BLOCKS * Q8K_BYTES;
const OUTPUTS = GATHERED_WEIGHTS + 2 * WEIGHT_BLOCKS * WEIGHT_BYTES;

/**
 * The core's own memories, at the bottom of the address space that the kernels see; DMA memory of the mock's own follows, so
 * that kernels read weights where the DMA finds them. The first page is left to the kernels' own constants.
 */
export const CORE_AREA = {
  laneAddresses: PAGE,
  scratch: SCRATCH,
  /** Prepared input blocks. */
  inputs: INPUTS,
  /** Words of a LOAD_INP or SOFT_MAX that do not lie in one piece where kernels can read them. */
  gatheredInputs: GATHERED_INPUTS,
  /** The same of weights, for the load at hand and the one before it, which a COMPUTE may still use. */
  gatheredWeights: [GATHERED_WEIGHTS, GATHERED_WEIGHTS + WEIGHT_BLOCKS * WEIGHT_BYTES],
  /** Results of one COMPUTE: at most 1024 rows and 512 columns. */
  outputs: OUTPUTS,
} as const;
/** Where DMA memory of the mock's own begins. */
export const DMA_AREA = Math.ceil((OUTPUTS + 1024 * 512 * 4) / PAGE) * PAGE;

/** The address space that the kernels see. Of a fixed size: growing would detach every view of it. Untouched pages cost no memory. */
export class CoreMemory {
  readonly memory: KernelMemory;
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  #gatheredBytes = 0;

  /** @param dmaBytes DMA memory of the mock's own, from `DMA_AREA` on @throws PynqLlmError MOCK_MEMORY_UNAVAILABLE */
  constructor(dmaBytes: number) {
    const pages = Math.ceil((DMA_AREA + dmaBytes) / PAGE);
    try {
      this.memory = reserveMemory(pages);
    } catch (cause) {
      throw new PynqLlmError('MOCK_MEMORY_UNAVAILABLE', `${pages * PAGE} bytes could not be reserved.`, {
        cause,
      });
    }
    this.bytes = new Uint8Array(this.memory.buffer);
    this.words = new Int32Array(this.memory.buffer);
  }

  /**
   * Puts words where kernels can read them.
   * @param at offset in bytes in `source`; `place` in the kernels' address space
   */
  gather(source: Int32Array, at: number, place: number, words: number): void {
    copyWords(source, at / 4, this.words, place / 4, words);
    this.#gatheredBytes += words * 4;
  }

  /** Bytes that `gather` has copied. */
  get gatheredBytes(): number {
    return this.#gatheredBytes;
  }
}

/** One by one: what `set` and `copyWithin` use is wider and not aligned, which device memory does not bear. Places are in words. */
export function copyWords(
  from: Int32Array,
  at: number,
  into: Int32Array,
  place: number,
  words: number,
): void {
  for (let i = 0; i < words; i++) into[place + i] = from[at + i];
}
