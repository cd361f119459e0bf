import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cos, exp, log, logSoftmax, logSumExp, pow, Random, sin } from '../../../maths/index.js';

const relative = (actual: number, expected: number) => Math.abs(actual - expected) / Math.abs(expected);
const doubles = (min: number, max: number) => fc.double({ min, max, noNaN: true });
const RUNS = { numRuns: 20_000 };

describe('exp', () => {
  it('agrees with Math.exp to 1e-15 wherever the result is a normal number', () => {
    fc.assert(
      fc.property(doubles(-708, 709.78), (x) => {
        expect(relative(exp(x), Math.exp(x))).toBeLessThan(1e-15);
      }),
      RUNS,
    );
  });

  it('is exact at zero, overflows to Infinity and underflows to 0 through the subnormals', () => {
    expect([exp(0), exp(-0), exp(710), exp(Infinity), exp(-746), exp(-Infinity)]).toEqual([
      1,
      1,
      Infinity,
      Infinity,
      0,
      0,
    ]);
    expect(exp(709.782712893384)).toBeGreaterThan(1.7e308);
    expect(exp(-745.1332191019411)).toBe(Number.MIN_VALUE);
    expect(exp(NaN)).toBeNaN();
  });
});

describe('log and pow', () => {
  it('log agrees with Math.log to 1e-15 over all positive doubles', () => {
    fc.assert(
      fc.property(doubles(Number.MIN_VALUE, Number.MAX_VALUE), doubles(0.5, 2), (any, nearOne) => {
        for (const x of [any, nearOne]) {
          if (x === 1) expect(log(x)).toBe(0);
          else expect(relative(log(x), Math.log(x))).toBeLessThan(1e-15);
        }
      }),
      RUNS,
    );
  });

  it('log gives the limits that IEEE 754 asks for', () => {
    expect([log(1), log(0), log(Infinity)]).toEqual([0, -Infinity, Infinity]);
    expect(log(-1)).toBeNaN();
    expect(log(NaN)).toBeNaN();
  });

  it('pow agrees with Math.pow to 1e-14 for the frequencies of RoPE', () => {
    fc.assert(
      fc.property(doubles(1, 1e8), doubles(-1, 0), (base, exponent) => {
        expect(relative(pow(base, exponent), base ** exponent)).toBeLessThan(1e-14);
      }),
      RUNS,
    );
    expect(pow(-2, 2)).toBeNaN();
  });
});

describe('sin and cos', () => {
  it('agree with Math.sin and Math.cos to 1e-14, relative, for angles to 1e6', () => {
    fc.assert(
      fc.property(doubles(-1e6, 1e6), doubles(-7, 7), (far, near) => {
        for (const x of [far, near]) {
          if (x !== 0) expect(relative(sin(x), Math.sin(x))).toBeLessThan(1e-14);
          expect(relative(cos(x), Math.cos(x))).toBeLessThan(1e-14);
        }
      }),
      RUNS,
    );
  });

  it('stay accurate beside multiples of π/2, where the reduced angle is tiny', () => {
    for (let quadrant = 1; quadrant < 600_000; quadrant += 97) {
      const x = (quadrant * Math.PI) / 2;
      expect(Math.abs(sin(x) - Math.sin(x))).toBeLessThan(2.3e-16);
      expect(Math.abs(cos(x) - Math.cos(x))).toBeLessThan(2.3e-16);
    }
  });

  it.each([1.7e6, -1e300, Number.NaN, Number.POSITIVE_INFINITY])('refuse the angle %d', (angle) => {
    expect(() => sin(angle)).toThrow(expect.objectContaining({ code: 'LLM_ANGLE_RANGE' }));
    expect(() => cos(angle)).toThrow(expect.objectContaining({ code: 'LLM_ANGLE_RANGE' }));
  });
});

describe('bits', () => {
  /** FNV-1a over the bytes of doubles: one number that changes with any bit. */
  const fingerprint = (values: number[]) =>
    new Uint8Array(new Float64Array(values).buffer).reduce(
      (h, byte) => Math.imul(h ^ byte, 16777619),
      -2128831035,
    ) >>> 0;

  it('of every function over a fixed grid are the recorded ones on this machine too', () => {
    const grid = Array.from({ length: 4001 }, (_, i) => (i - 2000) * 0.173);
    expect({
      exp: fingerprint(grid.map(exp)),
      log: fingerprint(grid.map((x) => log(x + 346.1))),
      sin: fingerprint(grid.map((x) => sin(x * 1000))),
      cos: fingerprint(grid.map((x) => cos(x * 1000))),
      pow: fingerprint(grid.map((x) => pow(10000, x / 400))),
    }).toMatchInlineSnapshot(`
      {
        "cos": 287961604,
        "exp": 1693882388,
        "log": 3175067199,
        "pow": 326440723,
        "sin": 74832057,
      }
    `);
  });
});

describe('Random', () => {
  // Computed with the reference C code's steps in 64-bit Python integers.
  it('gives the published xoshiro128** sequence from a SplitMix64 seed', () => {
    const random = new Random(1234567);
    expect(Array.from({ length: 6 }, () => random.nextUint32())).toEqual([
      1967786208, 270031234, 1115494691, 824886977, 1639868524, 2161081248,
    ]);
  });

  it('gives equal sequences for equal seeds and different ones for seeds that differ above bit 32', () => {
    const take = (seed: number) => {
      const random = new Random(seed);
      return Array.from({ length: 4 }, () => random.nextDouble());
    };
    expect(take(7)).toEqual(take(7));
    expect(take(7)).not.toEqual(take(7 + 2 ** 40));
  });

  it('spreads doubles evenly over [0, 1)', () => {
    const random = new Random(0);
    const bins = new Array<number>(16).fill(0);
    for (let i = 0; i < 64_000; i += 1) bins[Math.floor(random.nextDouble() * 16)] += 1;
    // 4000 ± 5 standard deviations of a binomial.
    for (const count of bins) expect(Math.abs(count - 4000)).toBeLessThan(5 * Math.sqrt(3750));
  });

  it.each([-1, 0.5, 2 ** 53, Number.NaN])('refuses the seed %d', (seed) => {
    expect(() => new Random(seed)).toThrow(expect.objectContaining({ code: 'LLM_SAMPLING_PARAMETER' }));
  });
});

describe('logSoftmax', () => {
  it('gives log-probabilities whose exponentials sum to one', () => {
    fc.assert(
      fc.property(fc.array(fc.float({ min: -80, max: 80, noNaN: true }), { minLength: 1 }), (values) => {
        const out = logSoftmax(new Float32Array(values), new Float64Array(values.length));
        expect(out.reduce((sum, p) => sum + exp(p), 0)).toBeCloseTo(1, 12);
      }),
    );
  });

  it('does not overflow on large logits and gives -Infinity to a token ruled out', () => {
    const out = logSoftmax(new Float32Array([1e6, 1e6, -Infinity]), new Float64Array(3));
    expect([...out]).toEqual([expect.closeTo(Math.log(0.5), 9), expect.closeTo(Math.log(0.5), 9), -Infinity]);
  });

  it('answers NaN for logits that are no distribution', () => {
    for (const bad of [
      [1, NaN],
      [Infinity, 0],
      [-Infinity, -Infinity],
    ]) {
      expect(logSumExp(new Float32Array(bad))).toBeNaN();
    }
  });
});
