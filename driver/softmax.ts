import { type Board, softMaxTileCycles } from '../board/index.js';
import { PynqLlmError } from '../errors/index.js';
import { encodeSoftMax, SOFT_MAX_ELEMENTS, SOFT_MAX_WORDS, type SoftMaxTile } from './instructions.js';
import type { Lanes } from './lanes.js';
import { type Deadlines, deadlineUs } from './matmul-runner.js';
import type { WorkingMemory } from './working-memory.js';

/** What is done to the elements of all rows. */
export interface SoftMaxOptions {
  /** Multiplies each element; 1 unless given. */
  readonly scale?: number;
  /** Added to the elements: float32, or patterns of fp16. One row for all rows, or as many values as elements. */
  readonly mask?: Float32Array | Uint16Array;
  /** Multiplies the mask, such as ALiBi's slope of a head; 1 unless given. */
  readonly slope?: number;
  /** One element more of each row, without a result; not scaled. */
  readonly sink?: number;
}

/** @throws PynqLlmError DRIVER_BAD_ARGUMENT */
export function checkSoftMax(
  elements: Float32Array,
  width: number,
  output: Float32Array,
  { mask }: SoftMaxOptions,
): void {
  const bad = (what: string) => new PynqLlmError('DRIVER_BAD_ARGUMENT', `softMax() was given ${what}.`);
  if (!Number.isInteger(width) || width < 1) throw bad(`rows of ${width} elements`);
  if (elements.length % width !== 0)
    throw bad(`${elements.length} elements, which are no whole rows of ${width}`);
  if (output.length < elements.length)
    throw bad(`room for ${output.length} of the ${elements.length} results`);
  if (mask !== undefined && mask.length !== width && mask.length !== elements.length)
    throw bad(`a mask of ${mask.length} values for ${elements.length} elements in rows of ${width}`);
}

/**
 * Runs rows on the SOFT_MAX unit of v4: each is sent in tiles of 256 elements, twice. A tile is one transfer, waited
 * for; in the second pass it is two, the results' started first.
 */
export class SoftMaxRunner {
  readonly #board: Board;
  readonly #lanes: Lanes;
  readonly #memory: WorkingMemory;
  readonly #deadlines: Deadlines;

  constructor(board: Board, lanes: Lanes, memory: WorkingMemory, deadlines: Deadlines) {
    this.#board = board;
    this.#lanes = lanes;
    this.#memory = memory;
    this.#deadlines = deadlines;
  }

  run(
    elements: Float32Array,
    width: number,
    output: Float32Array,
    { scale = 1, slope = 1, mask, sink }: SoftMaxOptions,
  ): void {
    const shared = { scale, slope, sink, mask: maskType(mask) };
    const rowOf = <T extends Float32Array | Uint16Array>(values: T, row: number) =>
      values.subarray(row * width, (row + 1) * width) as T;
    for (let row = 0; row * width < elements.length; row++) {
      const x = rowOf(elements, row);
      const m = mask?.length === elements.length ? rowOf(mask, row) : mask;
      for (const pass of [1, 2] as const)
        for (let at = 0; at < width; at += SOFT_MAX_ELEMENTS) {
          const end = Math.min(at + SOFT_MAX_ELEMENTS, width);
          const tile = { ...shared, pass, count: end - at, isFirst: at === 0, isLast: end === width };
          this.#write(tile, x.subarray(at, end), m?.subarray(at, end));
          const results = this.#runTile(tile, `row ${row}`, at / SOFT_MAX_ELEMENTS);
          if (pass === 2) output.set(results, row * width + at);
        }
    }
  }

  #write(tile: SoftMaxTile, elements: Float32Array, mask: Float32Array | Uint16Array | undefined): void {
    const { input } = this.#memory;
    const image = new ArrayBuffer(wordsOf(tile) * 4);
    const words = new Uint32Array(image);
    const floats = new Float32Array(image);
    words.set(encodeSoftMax(tile));
    floats.set(elements, SOFT_MAX_WORDS);
    if (mask !== undefined)
      (mask instanceof Uint16Array ? words : floats).set(mask, SOFT_MAX_WORDS + tile.count);
    input.giveToCpu(0, image.byteLength);
    input.write(0, new Uint8Array(image));
    input.giveToDevice(0, image.byteLength);
  }

  /** @returns the results of pass 2 */
  #runTile(tile: SoftMaxTile, row: string, index: number): Float32Array {
    const { input, output } = this.#memory;
    const results = new Float32Array(tile.pass === 2 ? tile.count : 0);
    if (tile.pass === 2) {
      output.giveToDevice(0, results.byteLength);
      this.#lanes.receive(output.physicalAddress, results.byteLength);
    }
    if (tile.pass === 2) this.#lanes.stream(0, input.physicalAddress, wordsOf(tile) * 4);
    else this.#lanes.send(input.physicalAddress, wordsOf(tile) * 4);
    const cycles = softMaxTileCycles(tile.count, tile.mask !== 'none', tile.pass);
    const deadline = deadlineUs(this.#deadlines, this.#board, cycles);
    if (tile.pass === 1) {
      this.#lanes.finishSending(deadline, { what: 'SOFT_MAX elements', subject: row, tile: index });
      return results;
    }
    this.#lanes.finishReceiving(deadline, { what: 'SOFT_MAX results', subject: row, tile: index }, true);
    output.giveToCpu(0, results.byteLength);
    output.read(0, new Uint8Array(results.buffer));
    return results;
  }
}

function maskType(mask: Float32Array | Uint16Array | undefined): SoftMaxTile['mask'] {
  if (mask === undefined) return 'none';
  return mask instanceof Uint16Array ? 'f16' : 'f32';
}

function wordsOf({ count, mask }: SoftMaxTile): number {
  return SOFT_MAX_WORDS + (mask === 'none' ? count : 2 * count);
}
