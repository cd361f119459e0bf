import { expect } from 'vitest';

/** Bit for bit, the sign of zero included; NaN are all the same. */
export function expectSameBits(actual: Float32Array, expected: Float32Array): void {
  const bits = (from: Float32Array): Uint32Array => {
    const words = new Uint32Array(from.slice().buffer);
    return words.map((word, i) => (Number.isNaN(from[i]) ? 0x7fc00000 : word));
  };
  expect(bits(actual)).toEqual(bits(expected));
}
