import { describe, expect, it } from 'vitest';
import { exp } from '../../maths/index.js';
import { exactExp } from '../reference/softmax/exact-exp.js';

/** Half a billion exponentials take a minute on a busy machine. */
const ALL_MS = 600_000;

describe('exp, rounded to float32', () => {
  it(
    'is that of the exponential by integers for every float32',
    () => {
      const bits = new Uint32Array(1);
      const float = new Float32Array(bits.buffer);
      const differing: number[] = [];
      let near = 0;
      // From 2^-26, below which all round to 1, to 104, beyond which all overflow or round to 0.
      for (const sign of [0, 0x8000_0000])
        for (let magnitude = 0x3280_0000; magnitude <= 0x42d0_0000; magnitude++) {
          bits[0] = (magnitude | sign) >>> 0;
          const x = float[0];
          const value = exp(x);
          // exp is within 1 ulp of a double, 2.2e-16 of the value: only next to where two float32 meet could it matter.
          if (Math.fround(value * (1 - 1e-15)) === Math.fround(value * (1 + 1e-15))) continue;
          near++;
          if (Math.fround(value) !== Math.fround(exactExp(x))) differing.push(x);
        }
      expect(differing).toEqual([]);
      expect(near).toBeGreaterThan(5);
    },
    ALL_MS,
  );

  it.each([
    [2 ** -26, 1],
    [-(2 ** -26), 1],
    [104, Number.POSITIVE_INFINITY],
    [-104, 0],
  ])('is at the ends of that range what it is beyond: of %f %f', (x, value) => {
    expect(Math.fround(exp(x))).toBe(value);
    expect(Math.fround(exactExp(x))).toBe(value);
  });
});
