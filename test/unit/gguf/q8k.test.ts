import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Q8K_BYTES, quantizeQ8K } from '../../../gguf/index.js';
import { gaussian } from './values.js';

interface Block {
  readonly d: number;
  readonly quants: Int8Array;
  readonly sums: Int16Array;
}

function quantize(values: Float32Array): Block[] {
  const out = new Uint8Array((values.length / 256) * Q8K_BYTES);
  quantizeQ8K(values, 0, values.length, out, 0);
  return Array.from({ length: values.length / 256 }, (_, i) => blockAt(out, i * Q8K_BYTES));
}

function blockAt(bytes: Uint8Array, at: number): Block {
  const copy = bytes.slice(at, at + Q8K_BYTES);
  return {
    d: new DataView(copy.buffer).getFloat32(0, true),
    quants: new Int8Array(copy.buffer, 4, 256),
    sums: new Int16Array(copy.buffer, 260, 16),
  };
}

/** The manual's sentence, with the rounding written out: floor, and the even one of two equally near. */
function expected(values: Float32Array): Block {
  const magnitudes = [...values].map(Math.abs);
  const max = values[magnitudes.indexOf(Math.max(...magnitudes))];
  if (max === 0) return { d: 0, quants: new Int8Array(256), sums: new Int16Array(16) };
  const scale = Math.fround(-127 / max);
  const quants = Int8Array.from(values, (value) => {
    const scaled = Math.fround(scale * value);
    const fraction = scaled - Math.floor(scaled);
    const up = fraction > 0.5 || (fraction === 0.5 && Math.floor(scaled) % 2 !== 0);
    return Math.min(127, Math.floor(scaled) + (up ? 1 : 0));
  });
  const sums = Int16Array.from({ length: 16 }, (_, group) =>
    quants.subarray(16 * group, 16 * group + 16).reduce((sum, quant) => sum + quant, 0),
  );
  return { d: Math.fround(1 / scale), quants, sums };
}

describe('quantizeQ8K', () => {
  it("follows the manual's rule on Gaussian activations", () => {
    const values = gaussian(8192, 7, 1.3);
    const blocks = quantize(values);
    for (const [i, block] of blocks.entries())
      expect(block).toEqual(expected(values.subarray(256 * i, 256 * i + 256)));
  });

  it("follows the manual's rule on any values with a normal scale", () => {
    const value = fc.float({ noNaN: true, min: -(2 ** 100), max: 2 ** 100 });
    const usual = fc.oneof(
      value,
      fc.float({ noNaN: true, min: -4, max: 4 }),
      fc.constantFrom(0, 0.5, -0.5, 1, -1),
    );
    fc.assert(
      fc.property(
        fc.array(usual, { minLength: 256, maxLength: 256 }),
        fc.constantFrom(1, -1, 127, -127, 3),
        (list, one) => {
          const values = Float32Array.from(list);
          values[17] = one;
          expect(quantize(values)[0]).toEqual(expected(values));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('rounds exact halves to the even quant', () => {
    const values = new Float32Array(256);
    values.set([-127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5]);
    expect([...quantize(values)[0].quants.subarray(0, 7)]).toEqual([-127, 0, 2, 2, 0, -2, -2]);
  });

  it('takes the first of two values of the same magnitude for the sign of d', () => {
    const values = new Float32Array(256);
    values.set([2, -2]);
    expect(quantize(values)[0].d).toBe(Math.fround(1 / Math.fround(-127 / 2)));
    values.set([-2, 2]);
    expect(quantize(values)[0].d).toBe(Math.fround(1 / Math.fround(127 / 2)));
  });

  it('writes d = 0, quants 0 and sums 0 for zeros, over whatever was there', () => {
    const out = new Uint8Array(Q8K_BYTES).fill(0xaa);
    quantizeQ8K(new Float32Array(256).fill(-0), 0, 256, out, 0);
    expect(out.every((byte) => byte === 0)).toBe(true);
  });

  it('reads and writes at odd offsets, and nothing beside', () => {
    const values = gaussian(300, 3, 1);
    const out = new Uint8Array(Q8K_BYTES + 8).fill(0x55);
    quantizeQ8K(values, 44, 256, out.subarray(1), 2);
    expect(blockAt(out, 3)).toEqual(expected(values.subarray(44)));
    expect([...out.subarray(0, 3), ...out.subarray(3 + Q8K_BYTES)]).toEqual(Array(8).fill(0x55));
  });

  it('turns NaN into the quant 0', () => {
    const values = gaussian(256, 5, 1);
    values[9] = Number.NaN;
    expect(quantize(values)[0].quants[9]).toBe(0);
  });

  it('refuses counts that are not whole blocks and ranges outside the arrays', () => {
    const values = new Float32Array(512);
    const out = new Uint8Array(Q8K_BYTES);
    expect(() => quantizeQ8K(values, 0, 255, out, 0)).toThrow(/GGUF_BAD_RANGE/);
    expect(() => quantizeQ8K(values, 300, 256, out, 0)).toThrow(/GGUF_BAD_RANGE/);
    expect(() => quantizeQ8K(values, 0, 256, out, 1)).toThrow(/GGUF_BAD_RANGE/);
    expect(() => quantizeQ8K(values, 0, 512, out, 0)).toThrow(/GGUF_BAD_RANGE/);
    expect(() => quantizeQ8K(values, -256, 256, out, 0)).toThrow(/GGUF_BAD_RANGE/);
  });
});
