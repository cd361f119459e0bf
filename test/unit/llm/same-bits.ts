import { expect } from 'vitest';

/** Bit for bit, the sign of zero included; NaN are all the same. */
export function expectSameBits(actual: Float32Array, expected: Float32Array): void {
  // Much quicker than `toEqual` where they are the same.
  if (haveSameBytes(actual, expected)) return;
  const bits = (from: Float32Array): Uint32Array => {
    const words = new Uint32Array(from.slice().buffer);
    return words.map((word, i) => (Number.isNaN(from[i]) ? 0x7fc00000 : word));
  };
  expect(bits(actual)).toEqual(bits(expected));
}

/** The same of several. */
export function expectSameBitsOfAll(
  actual: readonly Float32Array[],
  expected: readonly Float32Array[],
): void {
  expect(actual).toHaveLength(expected.length);
  for (const [i, one] of expected.entries()) expectSameBits(actual[i], one);
}

function haveSameBytes(a: Float32Array, b: Float32Array): boolean {
  const bytes = ({ buffer, byteOffset, byteLength }: Float32Array) =>
    Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
  return bytes(a).equals(bytes(b));
}
