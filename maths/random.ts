import { PynqLlmError } from '../errors/index.js';

const MASK_64 = (1n << 64n) - 1n;

/** The outputs of SplitMix64 (Steele, Lea & Flood 2014) from `seed`: fills a larger state from one number. */
function splitMix64(seed: bigint, count: number): bigint[] {
  const outputs: bigint[] = [];
  let state = seed & MASK_64;
  for (let i = 0; i < count; i += 1) {
    state = (state + 0x9e3779b97f4a7c15n) & MASK_64;
    let z = state;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK_64;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK_64;
    outputs.push(z ^ (z >> 31n));
  }
  return outputs;
}

function rotateLeft(x: number, count: number): number {
  return (x << count) | (x >>> (32 - count));
}

/**
 * Seeded random numbers: xoshiro128** 1.1 (Blackman & Vigna 2018), its 128 bits of state filled by SplitMix64 (two outputs,
 * low word first). 32-bit integer arithmetic only, so a seed gives the same numbers on every machine. Not for secrets.
 */
export class Random {
  readonly #state = new Int32Array(4);

  /**
   * @param seed an integer from 0 to 2^53 - 1
   * @throws PynqLlmError LLM_SAMPLING_PARAMETER
   */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new PynqLlmError(
        'LLM_SAMPLING_PARAMETER',
        `The seed is ${seed}, not an integer from 0 to 2^53 - 1.`,
        {
          context: { parameter: 'seed', value: String(seed) },
        },
      );
    }
    const [first, second] = splitMix64(BigInt(seed), 2);
    this.#state.set(
      [first, first >> 32n, second, second >> 32n].map((word) => Number(BigInt.asIntN(32, word))),
    );
  }

  /** The next 32 bits, as an integer from 0 to 2^32 - 1. */
  nextUint32(): number {
    const s = this.#state;
    const result = Math.imul(rotateLeft(Math.imul(s[1], 5), 7), 9) >>> 0;
    const shifted = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotateLeft(s[3], 11);
    return result;
  }

  /** A multiple of 2^-53 from 0 to below 1, every one equally likely; takes two 32-bit outputs, high bits first. */
  nextDouble(): number {
    const high = this.nextUint32() >>> 5;
    const low = this.nextUint32() >>> 6;
    return (high * 0x4000000 + low) / 0x20000000000000;
  }
}
