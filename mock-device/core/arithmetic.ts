import type { BoardDescription } from '../../board/index.js';
import type { CoreType } from '../../gguf/index.js';
import { CORE_AREA, type CoreMemory } from '../core-memory.js';
import { type Kernel, PREPARED_INPUT } from '../kernel.js';
import { multiplyFields } from './exact-multiply.js';
import { WeightLoad } from './weight-load.js';
import { WeightMemory } from './weight-memory.js';

/** What the core computes with: its input and weight memories and the kernels. */
export class Arithmetic {
  readonly #weights: WeightMemory;
  readonly #laneShift: number;
  readonly #memory: CoreMemory;
  readonly #kernel: Kernel;
  /** Where the load at hand puts what it copies. */
  #place: number = CORE_AREA.gatheredWeights[0];

  constructor(description: BoardDescription, memory: CoreMemory, kernel: Kernel) {
    this.#memory = memory;
    this.#kernel = kernel;
    const { weightBlocks, inputBlocks } = description.capacity;
    this.#weights = new WeightMemory(description.revision, weightBlocks);
    this.#laneShift = description.dma.lanes === 4 ? 2 : 0;
    memory.bytes.fill(0, CORE_AREA.inputs, CORE_AREA.inputs + inputBlocks * PREPARED_INPUT.bytes);
  }

  /** Q8_K blocks from input block 0 on. @param at where they lie in the kernels' address space */
  loadInputs(at: number, blocks: number): void {
    this.#kernel.prepareInputs(at, CORE_AREA.inputs, blocks);
  }

  /** A load of weights begins. @returns where what it copies goes, in the kernels' address space */
  placeOfWeights(): number {
    this.#place = CORE_AREA.gatheredWeights[this.#place === CORE_AREA.gatheredWeights[0] ? 1 : 0];
    this.#weights.leave(this.#place);
    return this.#place;
  }

  /** Weight blocks from block 0 on, of the load that began last. @param addresses of the lanes' words, in the kernels' address space */
  loadWeights(addresses: readonly number[], type: CoreType, blocks: number): void {
    this.#weights.load(new WeightLoad(type, blocks, addresses, this.#place, this.#memory));
  }

  /** Memory that loaded weights may lie in is about to change. */
  keep(start: number, end: number): void {
    this.#weights.keep(start, end);
  }

  /**
   * Puts a COMPUTE's float32 results, column after column, where the output lane takes them from.
   * @param type undefined for one that the core does not compute: NaN stands for its meaningless results
   */
  multiply(type: CoreType | undefined, kb: number, rows: number, columns: number): void {
    const { inputs, outputs, laneAddresses, scratch } = CORE_AREA;
    if (kb === 0) {
      this.#memory.bytes.fill(0, outputs, outputs + rows * columns * 4);
      return;
    }
    if (type === undefined) {
      this.#memory.bytes.fill(0xff, outputs, outputs + rows * columns * 4);
      return;
    }
    const load = this.#weights.only(type, rows * kb);
    if (load === undefined) {
      const prepared = new DataView(this.#memory.memory.buffer, inputs);
      const results = multiplyFields(this.#weights.fields(), type, prepared, kb, rows, columns);
      this.#memory.bytes.set(new Uint8Array(results.buffer), outputs);
      return;
    }
    const { words } = this.#memory;
    for (let lane = 0; lane < load.addresses.length; lane++)
      words[laneAddresses / 4 + lane] = load.addresses[lane];
    this.#kernel.multiply(type, laneAddresses, this.#laneShift, inputs, outputs, scratch, kb, rows, columns);
  }
}
