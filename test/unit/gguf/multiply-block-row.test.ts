import { describe, expect, it } from 'vitest';
import {
  CORE_BLOCK_BYTES,
  CORE_TYPES,
  dequantizeRow,
  ggmlTypeOf,
  multiplyBlockRow,
  Q8K_BYTES,
  quantizeQ8K,
  quantizeRow,
} from '../../../gguf/index.js';
import { gaussian } from './values.js';

const KB = 8;

describe('multiplyBlockRow', () => {
  it.each(CORE_TYPES)('comes near the float product of the same values, type %s', (coreType) => {
    const [row, activations] = [gaussian(256 * KB, 11, 0.02), gaussian(256 * KB, 12, 1)];
    const weights = new Uint8Array(KB * CORE_BLOCK_BYTES[coreType]);
    const inputs = new Uint8Array(KB * Q8K_BYTES);
    quantizeRow(ggmlTypeOf(coreType), row, weights);
    quantizeQ8K(activations, 0, activations.length, inputs, 0);
    const stored = new Float32Array(row.length);
    dequantizeRow(ggmlTypeOf(coreType), weights, row.length, stored);
    const exact = stored.reduce((sum, weight, i) => sum + weight * activations[i], 0);
    // 2048 products of deviation 0.02, activations off by up to half of 1/127 of about 3.5.
    expect(Math.abs(multiplyBlockRow(coreType, weights, 0, inputs, 0, KB) - exact)).toBeLessThan(0.03);
  });

  it('starts at the given offsets', () => {
    const weights = new Uint8Array(3 * 110);
    const inputs = new Uint8Array(2 * Q8K_BYTES);
    quantizeRow(ggmlTypeOf(3), gaussian(256, 1, 1), weights.subarray(220));
    quantizeQ8K(gaussian(256, 2, 1), 0, 256, inputs, Q8K_BYTES);
    const expected = multiplyBlockRow(3, weights.slice(220), 0, inputs.slice(Q8K_BYTES), 0, 1);
    expect(expected).not.toBe(0);
    expect(multiplyBlockRow(3, weights, 220, inputs, Q8K_BYTES, 1)).toBe(expected);
  });

  it('gives +0 for no super-blocks', () => {
    expect(multiplyBlockRow(2, new Uint8Array(0), 0, new Uint8Array(0), 0, 0)).toBe(0);
  });

  it('refuses blocks outside its arrays', () => {
    expect(() => multiplyBlockRow(2, new Uint8Array(84), 0, new Uint8Array(291), 0, 1)).toThrow(
      /GGUF_BAD_RANGE/,
    );
    expect(() => multiplyBlockRow(2, new Uint8Array(84), 1, new Uint8Array(292), 0, 1)).toThrow(
      /GGUF_BAD_RANGE/,
    );
  });
});
