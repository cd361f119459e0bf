import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bfloatToFloat, floatToBfloat, floatToHalf, halfToFloat } from '../../../gguf/index.js';

/** Values of the halves as the standard defines them: sign, exponent with bias 15, ten bits of fraction. */
const KNOWN: readonly (readonly [number, number])[] = [
  [0x0000, 0],
  [0x8000, -0],
  [0x0001, 2 ** -24],
  [0x03ff, 1023 * 2 ** -24],
  [0x0400, 2 ** -14],
  [0x3555, 0.333251953125],
  [0x3c00, 1],
  [0x3c01, 1 + 2 ** -10],
  [0xc000, -2],
  [0x7bff, 65504],
  [0x7c00, Number.POSITIVE_INFINITY],
  [0xfc00, Number.NEGATIVE_INFINITY],
];

describe('halves', () => {
  it.each(KNOWN)('of the pattern 0x%s have the value %s', (pattern, value) => {
    expect(halfToFloat(pattern)).toBe(value);
    expect(floatToHalf(value)).toBe(pattern);
  });

  it('come back unchanged from float32, all 65536 of them', () => {
    let wrong = 0;
    for (let pattern = 0; pattern < 0x10000; pattern++) {
      const notANumber = (pattern & 0x7fff) > 0x7c00;
      const back = floatToHalf(halfToFloat(pattern));
      if (notANumber ? (back & 0x7e00) !== 0x7e00 : back !== pattern) wrong++;
    }
    expect(wrong).toBe(0);
  });

  it('are the nearest ones, the even one of two, at and beside every half-way point', () => {
    let wrong = 0;
    for (let pattern = 0; pattern < 0x7bff; pattern++) {
      const [low, high] = [halfToFloat(pattern), halfToFloat(pattern + 1)];
      const middle = (low + high) / 2;
      const step = (high - low) / 2 ** 10;
      if (floatToHalf(middle) !== pattern + (pattern & 1)) wrong++;
      if (floatToHalf(middle - step) !== pattern || floatToHalf(middle + step) !== pattern + 1) wrong++;
      if (floatToHalf(-middle + step) !== (pattern | 0x8000)) wrong++;
    }
    expect(wrong).toBe(0);
  });

  it('overflow to infinity from 65520 on and not before', () => {
    expect(floatToHalf(65519.996)).toBe(0x7bff);
    expect(floatToHalf(65520)).toBe(0x7c00);
    expect(floatToHalf(-1e30)).toBe(0xfc00);
  });

  it('underflow to a zero of the same sign from 2**-25 down', () => {
    expect(floatToHalf(2 ** -25)).toBe(0);
    expect(floatToHalf(-(2 ** -25))).toBe(0x8000);
    expect(floatToHalf(Math.fround(2 ** -25 * 1.001))).toBe(1);
    expect(floatToHalf(2 ** -149)).toBe(0);
  });
});

describe('bfloats', () => {
  it('come back unchanged from float32, all 65536 of them', () => {
    let wrong = 0;
    for (let pattern = 0; pattern < 0x10000; pattern++) {
      const notANumber = (pattern & 0x7fff) > 0x7f80;
      const back = floatToBfloat(bfloatToFloat(pattern));
      if (notANumber ? !Number.isNaN(bfloatToFloat(back)) : back !== pattern) wrong++;
    }
    expect(wrong).toBe(0);
  });

  it('lie within half a unit of the last place, ties to even', () => {
    expect(floatToBfloat(1 + 2 ** -8)).toBe(0x3f80);
    expect(floatToBfloat(1 + 3 * 2 ** -8)).toBe(0x3f82);
    expect(floatToBfloat(3.4028234663852886e38)).toBe(0x7f80);
    fc.assert(
      fc.property(fc.float({ noNaN: true, min: -(2 ** 100), max: 2 ** 100 }), (value) => {
        expect(Math.abs(bfloatToFloat(floatToBfloat(value)) - value)).toBeLessThanOrEqual(
          Math.abs(value) * 2 ** -8 + 2 ** -134,
        );
      }),
    );
  });
});
