import { halfToFloat } from '../../gguf/index.js';
import { exp } from '../../maths/index.js';
import type { Monitors, Span } from '../monitors.js';
import { CORE_AREA, type PhysicalMemory } from '../physical-memory.js';
import type { LoadTiming } from './timing.js';
import { joined, type LaneWords } from './weight-load.js';

/** Elements of a tile that the unit's buffer holds. */
export const SOFTMAX_ELEMENTS = 256;
/** Cycles for each element after its words are there: pass 1 one for the maximum, six for the sum; pass 2 its result's. */
const FIRST_PASS_CYCLES = 7;
const SECOND_PASS_CYCLES = 1;

const OPERANDS = 5;
const FLAG = { MASK: 0x01, HALF_MASK: 0x02, SINK: 0x04, FIRST: 0x08, LAST: 0x10, SECOND_PASS: 0x20 } as const;
const LOWEST = -3.4028234663852886e38;
const { fround } = Math;

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/**
 * The SOFT_MAX unit of v4 (manual, "Revision v4"). It takes a row in tiles, twice: pass 1 finds maximum and sum,
 * pass 2 gives results with whatever the last pass 1 left. All float32 steps are rounded one by one; sums are doubles.
 *
 * `exp`, rounded to float32, is the float32 nearest to the exponential for every float32
 * (test/long/softmax-exp.test.ts), so that these bits are those of any correctly rounded exponential.
 */
export class SoftmaxUnit {
  /** Before the first row, as after one of a single 0: the manual does not say. */
  #max = 0;
  #sum = 1;
  #reciprocal = 1;
  /** The tile at hand. */
  #count = 0;
  #scale = 0;
  #slope = 0;
  #flags = 0;
  #sink = 0;
  /** The states of control unit and unit while the tile is at hand. */
  #states: readonly (Span | undefined)[] = [];
  readonly #monitors: Monitors;
  readonly #memory: PhysicalMemory;

  constructor(monitors: Monitors, memory: PhysicalMemory) {
    this.#monitors = monitors;
    this.#memory = memory;
  }

  /**
   * A tile begins.
   * @param operands count of elements, scale, slope, flags, sink, as they follow the opcode
   * @returns how many words the tile has, its elements and their mask, and its course in the simulation's cycles
   *   (hardware's are unknown): a word a cycle, then the pass over the elements
   */
  begin(operands: readonly number[], now: number): { readonly words: number; readonly timing: LoadTiming } {
    const [count, scale, slope, flags, sink] = operands;
    this.#count = count;
    this.#scale = floatOf(scale);
    this.#slope = floatOf(slope);
    this.#flags = flags;
    this.#sink = floatOf(sink);
    const words = this.#has(FLAG.MASK) ? 2 * count : count;
    const after = count * (isSecondPass(flags) ? SECOND_PASS_CYCLES : FIRST_PASS_CYCLES);
    const dataFrom = now + OPERANDS;
    this.#monitors.add('control-unit', 2, now, OPERANDS);
    this.#states = [
      this.#monitors.add('control-unit', 7, dataFrom, words + after),
      this.#monitors.add('softmax-unit', 1, dataFrom, words + after),
    ];
    return { words, timing: { dataFrom, cycles: OPERANDS + words + after, after, stretched: this.#states } };
  }

  /** The results wait for room until the cycle `until`. */
  wait(until: number): void {
    for (const state of this.#states) if (state !== undefined) state.to = until;
  }

  /**
   * Takes the words of the tile at hand. The results of pass 2 are put where the output lane takes them from.
   * @returns their bytes; 0 in pass 1, which has none
   */
  run({ at, copies }: LaneWords): number {
    const { words, bytes } = this.#memory;
    const x = this.#scaled(
      copies === undefined ? words.subarray(at / 4) : new Uint32Array(joined(copies).buffer),
    );
    if (isSecondPass(this.#flags)) {
      const results = x.map((value) => expf(fround(value - this.#max)) * this.#reciprocal);
      bytes.set(new Uint8Array(results.buffer), CORE_AREA.outputs);
      return results.byteLength;
    }
    this.#accumulate(x);
    if (this.#has(FLAG.LAST)) this.#finish();
    return 0;
  }

  #scaled(words: Uint32Array): Float32Array {
    const x = new Float32Array(this.#count);
    for (let i = 0; i < x.length; i++) {
      x[i] = floatOf(words[i]) * this.#scale;
      if (!this.#has(FLAG.MASK)) continue;
      const bits = words[x.length + i];
      const mask = this.#has(FLAG.HALF_MASK) ? halfToFloat(bits & 0xffff) : floatOf(bits);
      x[i] += fround(this.#slope * mask);
    }
    return x;
  }

  #accumulate(x: Float32Array): void {
    if (this.#has(FLAG.FIRST)) {
      this.#max = LOWEST;
      this.#sum = 0;
    }
    // Not Math.max: a NaN never wins.
    let max = this.#max;
    for (const value of x) if (value > max) max = value;
    let sum = 0;
    for (const value of x) sum += expf(fround(value - max));
    this.#sum = this.#sum * expf(fround(this.#max - max)) + sum;
    this.#max = max;
  }

  #finish(): void {
    if (this.#has(FLAG.SINK)) {
      if (this.#sink > this.#max) {
        this.#sum *= expf(fround(this.#max - this.#sink));
        this.#max = this.#sink;
      }
      this.#sum += expf(fround(this.#sink - this.#max));
    }
    this.#reciprocal = fround(1 / this.#sum);
  }

  #has(flag: number): boolean {
    return (this.#flags & flag) !== 0;
  }
}

/** Whether a tile with these flags has results; not where the flags have not come yet. */
export function isSecondPass(flags: number | undefined): boolean {
  return flags !== undefined && (flags & FLAG.SECOND_PASS) !== 0;
}

function expf(x: number): number {
  return fround(exp(x));
}

function floatOf(bits: number): number {
  word[0] = bits;
  return float[0];
}
