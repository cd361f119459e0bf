import { halfToFloat } from '../../gguf/index.js';
import { exp } from '../../maths/index.js';
import { CORE_AREA, type CoreMemory } from '../core-memory.js';
import type { InputLane } from '../stream-lanes.js';
import { Gather } from './gather.js';

/** Elements of a tile that the unit's buffer holds. */
export const SOFTMAX_ELEMENTS = 256;
/** Cycles for each element after its words are there: pass 1 one for the maximum, six for the sum; pass 2 its result's. */
const FIRST_PASS_CYCLES = 7;
const SECOND_PASS_CYCLES = 1;

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
  readonly #gather: Gather;
  readonly #memory: CoreMemory;
  /** Results of the tile at hand that lie where the output lane takes them from: as many as elements, or none. */
  #results = 0;

  constructor(memory: CoreMemory, inputs: readonly InputLane[]) {
    this.#memory = memory;
    this.#gather = new Gather(memory, inputs);
  }

  /** Memory that the words taken so far may lie in is about to change. */
  keep(start: number, end: number): void {
    this.#gather.keep(start, end);
  }

  /**
   * A tile begins: its elements, then their mask, a word a cycle.
   * @param operands count of elements, scale, slope, flags, sink, as they follow the opcode
   */
  begin(now: number, [count, scale, slope, flags, sink]: readonly number[]): void {
    this.#count = count;
    this.#scale = floatOf(scale);
    this.#slope = floatOf(slope);
    this.#flags = flags;
    this.#sink = floatOf(sink);
    const words = [this.#has(FLAG.MASK) ? 2 * count : count];
    this.#gather.begin(now, {
      needed: words,
      kept: words,
      place: CORE_AREA.gatheredInputs,
      lag: (word) => word,
    });
  }

  /** Takes what has come. @returns words that still lack */
  take(): number {
    this.#gather.take();
    return this.#gather.lack(0);
  }

  /** All words have come. @returns when the pass over them ends, by the simulation's cycles: hardware's are unknown */
  finish(): number {
    const [at] = this.#gather.addresses;
    const { words, bytes } = this.#memory;
    const x = this.#scaled(words.subarray(at / 4));
    this.#gather.release();
    this.#results = 0;
    if (isSecondPass(this.#flags)) {
      const results = x.map((value) => expf(fround(value - this.#max)) * this.#reciprocal);
      bytes.set(new Uint8Array(results.buffer), CORE_AREA.outputs);
      this.#results = results.length;
      return this.#gather.lastAt + 1 + this.#count * SECOND_PASS_CYCLES;
    }
    this.#accumulate(x);
    if (this.#has(FLAG.LAST)) this.#endRow();
    return this.#gather.lastAt + 1 + this.#count * FIRST_PASS_CYCLES;
  }

  get results(): number {
    return this.#results;
  }

  #scaled(words: Int32Array): Float32Array {
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

  #endRow(): void {
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

/** Whether a tile with these flags has results. */
export function isSecondPass(flags: number): boolean {
  return (flags & FLAG.SECOND_PASS) !== 0;
}

function expf(x: number): number {
  return fround(exp(x));
}

function floatOf(bits: number): number {
  word[0] = bits;
  return float[0];
}
