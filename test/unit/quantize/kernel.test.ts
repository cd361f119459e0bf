import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { GgmlType } from '../../../gguf/index.js';
import { RowQuantizer } from '../../../quantize/kernel.js';
import { COLUMNS, sampleRows } from './values.js';

const { digests } = JSON.parse(readFileSync('test/fixtures/quantized-rows.json', 'utf8')) as {
  digests: Record<string, string>;
};

describe('rows of every type', () => {
  const { values, importance } = sampleRows();
  const source = new Uint8Array(values.buffer);

  it.each(Object.entries(digests))('as %s have the bits of llama.cpp', (name, digest) => {
    const [type, withImportance] = name.split('+');
    const weights = withImportance === undefined ? undefined : importance;
    const rows = new RowQuantizer().quantize(
      GgmlType.F32,
      source,
      COLUMNS,
      GgmlType[type as keyof typeof GgmlType],
      weights,
    );
    expect(createHash('sha256').update(rows).digest('hex')).toBe(digest);
  });

  it('are the same row by row as all at once', () => {
    const quantizer = new RowQuantizer();
    const all = quantizer.quantize(GgmlType.F32, source, COLUMNS, GgmlType.Q5_1, importance).slice();
    const rowBytes = 4 * COLUMNS;
    for (let row = 0; row < 8; row++) {
      const one = source.subarray(row * rowBytes, (row + 1) * rowBytes);
      const got = quantizer.quantize(GgmlType.F32, one, COLUMNS, GgmlType.Q5_1, importance);
      expect(got).toEqual(all.subarray(row * got.length, (row + 1) * got.length));
    }
  });

  it.each(['F16', 'BF16', 'F32'] as const)('round to %s and back as themselves', (name) => {
    const quantizer = new RowQuantizer();
    const once = quantizer.quantize(GgmlType.F32, source, COLUMNS, GgmlType[name]).slice();
    const floats = quantizer.quantize(GgmlType[name], once, COLUMNS, GgmlType.F32).slice();
    expect(quantizer.quantize(GgmlType.F32, floats, COLUMNS, GgmlType[name])).toEqual(once);
  });

  it('are taken from Q8_0', () => {
    const quantizer = new RowQuantizer();
    const stored = quantizer.quantize(GgmlType.F32, source, COLUMNS, GgmlType.Q8_0).slice();
    const floats = new Float32Array(
      quantizer.quantize(GgmlType.Q8_0, stored, COLUMNS, GgmlType.F32).slice().buffer,
    );
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    floats.forEach((value, i) => {
      expect(Math.abs(value - values[i])).toBeLessThan(largest / 100);
    });
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('are refused with %s among them', (value) => {
    const row = Float32Array.from({ length: 256 }, (_, i) => (i === 200 ? value : 1));
    const quantize = () =>
      new RowQuantizer().quantize(GgmlType.F32, new Uint8Array(row.buffer), 256, GgmlType.Q3_K);
    expect(quantize).toThrow(/QUANTIZE_NOT_FINITE/);
  });

  it('are not made of what is quantised already', () => {
    const quantize = () =>
      new RowQuantizer().quantize(GgmlType.Q3_K, new Uint8Array(110), 256, GgmlType.Q2_K);
    expect(quantize).toThrow(/QUANTIZE_TYPE.*Q3_K/);
  });
});
