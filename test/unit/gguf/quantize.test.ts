import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BLOCK_FORMATS, dequantizeRow, GgmlType, quantizeRow, rowBytes } from '../../../gguf/index.js';
import { gaussian, relativeError } from './values.js';

/** Root mean square error over root mean square value that a Gaussian row may have. */
const QUALITY: readonly (readonly [keyof typeof GgmlType, number])[] = [
  ['F32', 0],
  ['F16', 0.0003],
  ['BF16', 0.003],
  ['Q8_0', 0.007],
  ['Q4_0', 0.1],
  ['Q2_K', 0.33],
  ['Q3_K', 0.17],
  ['Q4_K', 0.08],
  ['Q5_K', 0.04],
  ['Q6_K', 0.025],
];

function roundTrip(type: GgmlType, values: Float32Array): Float32Array {
  const bytes = new Uint8Array(rowBytes(type, values.length));
  quantizeRow(type, values, bytes);
  const back = new Float32Array(values.length);
  dequantizeRow(type, bytes, values.length, back);
  return back;
}

describe('quantizeRow and dequantizeRow', () => {
  it.each(QUALITY)('keep a Gaussian row as %s within a relative error of %s', (name, limit) => {
    const values = gaussian(4096, 1, 0.02);
    const error = relativeError(values, roundTrip(GgmlType[name], values));
    expect(error).toBeLessThanOrEqual(limit);
  });

  it.each(QUALITY)('turn a row of zeros into zeros as %s', (name) => {
    const back = roundTrip(GgmlType[name], new Float32Array(512));
    expect(back.every((value) => value === 0)).toBe(true);
  });

  it.each(QUALITY.slice(3))(
    'keep values of one sign, constant groups and outliers in order as %s',
    (name) => {
      const values = Float32Array.from({ length: 256 }, (_, i) =>
        i < 64 ? -1 : i < 128 ? 3 : i === 200 ? 40 : i / 100,
      );
      const back = roundTrip(GgmlType[name], values);
      expect(relativeError(values, back)).toBeLessThan(0.35);
    },
  );

  it.each(QUALITY)('never turn finite values into something else as %s', (name) => {
    const rows = fc.float32Array({ minLength: 256, maxLength: 256, noNaN: true, min: -32768, max: 32768 });
    fc.assert(
      fc.property(rows, (values) => {
        const back = roundTrip(GgmlType[name], values);
        const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        expect(back.every((value) => Math.abs(value) <= largest * 1.6 + 1e-4)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it.each(QUALITY.slice(3))('refuse a NaN for %s', (name) => {
    const { blockSize } = BLOCK_FORMATS[GgmlType[name]];
    const values = new Float32Array(blockSize).fill(1);
    values[3] = Number.NaN;
    const out = new Uint8Array(rowBytes(GgmlType[name], blockSize));
    expect(() => quantizeRow(GgmlType[name], values, out)).toThrow(/GGUF_BAD_RANGE.*Value 3 is NaN/);
  });

  it('refuse rows that are not whole blocks, short buffers and Q8_K', () => {
    expect(() => quantizeRow(GgmlType.Q3_K, new Float32Array(255), new Uint8Array(110))).toThrow(
      /GGUF_ROW_NOT_WHOLE/,
    );
    expect(() => quantizeRow(GgmlType.Q3_K, new Float32Array(256), new Uint8Array(109))).toThrow(
      /GGUF_BAD_RANGE/,
    );
    expect(() => quantizeRow(GgmlType.Q8_K, new Float32Array(256), new Uint8Array(292))).toThrow(
      /GGUF_UNSUPPORTED_CONV/,
    );
    expect(() => dequantizeRow(GgmlType.Q3_K, new Uint8Array(110), 255, new Float32Array(256))).toThrow(
      /GGUF_ROW_NOT_WHOLE/,
    );
    expect(() => dequantizeRow(GgmlType.Q3_K, new Uint8Array(109), 256, new Float32Array(256))).toThrow(
      /GGUF_BAD_RANGE/,
    );
    expect(() => dequantizeRow(GgmlType.Q3_K, new Uint8Array(110), 256, new Float32Array(255))).toThrow(
      /GGUF_BAD_RANGE/,
    );
    expect(() => dequantizeRow(GgmlType.Q8_K, new Uint8Array(292), 256, new Float32Array(256))).toThrow(
      /GGUF_UNSUPPORTED_CONV/,
    );
  });
});
