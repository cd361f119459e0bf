import { describe, expect, it } from 'vitest';
import { Q8K_BYTES, quantizeQ8K } from '../../../../gguf/index.js';
import { KernelMemory } from '../../../../llm/kernels/kernels.js';
import { Random } from '../../../../maths/index.js';
import { KINDS, type Kind, oddFloats } from '../../../system/support/odd-floats.js';
import { expectSameBits } from '../same-bits.js';
import { plainNorm, plainRotation, plainSwiGlu } from './plain.js';

const BLOCK = 256;

function blocksOf(values: Float32Array): Uint8Array {
  const blocks = new Uint8Array((values.length / BLOCK) * Q8K_BYTES);
  quantizeQ8K(values, 0, values.length, blocks, 0);
  return blocks;
}

function memoryFor(...lengths: readonly number[]): KernelMemory {
  return new KernelMemory(lengths.reduce((sum, length) => sum + 4 * length + 64, 0));
}

function quantized(values: Float32Array): Uint8Array {
  const memory = memoryFor(values.length, values.length);
  const from = memory.floats(values.length);
  from.set(values);
  const blocks = memory.bytes((values.length / BLOCK) * Q8K_BYTES);
  memory.kernels.quantizeQ8K(from.byteOffset, values.length, blocks.byteOffset);
  return blocks.slice();
}

describe('Q8_K', () => {
  it.each(KINDS)('of %s values has the bits of gguf', (kind) => {
    const random = new Random(1);
    for (let round = 0; round < 40; round++) {
      const values = oddFloats(random, 3 * BLOCK, kind);
      expect(quantized(values)).toEqual(blocksOf(values));
    }
  });

  it('of blocks around the bound of its two ways has the bits of gguf', () => {
    const random = new Random(2);
    for (let power = -149; power <= 127; power++) {
      const values = oddFloats(random, BLOCK, 'any').map((value) => value % 2 ** power);
      values[100] = 2 ** power;
      values[200] = -(2 ** power);
      expect(quantized(values)).toEqual(blocksOf(values));
    }
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'with %s has the bits of gguf',
    (odd) => {
      const values = oddFloats(new Random(3), 2 * BLOCK, 'ordinary');
      values[5] = odd;
      values[300] = odd;
      values[301] = -odd;
      expect(quantized(values)).toEqual(blocksOf(values));
    },
  );

  it('breaks ties to even and takes the sign of the first of the largest', () => {
    const values = Float32Array.from({ length: BLOCK }, (_, i) =>
      i % 2 === 0 ? i / 2 - 63.5 : 63.5 - i / 2,
    );
    values[3] = 127;
    values[4] = -127;
    expect(quantized(values)).toEqual(blocksOf(values));
  });
});

describe('RMSNorm', () => {
  function normalized(
    values: Float32Array,
    update: Float32Array | undefined,
    weight: Float32Array,
    withBlocks: boolean,
  ) {
    const n = values.length / weight.length;
    const memory = memoryFor(values.length, values.length, weight.length, values.length, values.length);
    const [x, more, w, out] = [values, update ?? values, weight, values].map((from) => {
      const to = memory.floats(from.length);
      to.set(from);
      return to;
    });
    const blocks = memory.bytes(Math.ceil(values.length / BLOCK) * Q8K_BYTES);
    memory.kernels.normalize(
      x.byteOffset,
      update ? more.byteOffset : 0,
      w.byteOffset,
      1e-5,
      weight.length,
      n,
      out.byteOffset,
      withBlocks ? blocks.byteOffset : 0,
    );
    return { x, out, blocks };
  }

  it.each(KINDS)('of %s values has the bits of its plain form, added to and quantised or not', (kind) => {
    const random = new Random(4);
    for (const [length, n] of [
      [256, 1],
      [512, 3],
      [300, 2],
      [7, 2],
    ]) {
      const values = oddFloats(random, n * length, kind);
      const weight = oddFloats(random, length, 'ordinary');
      for (const update of [undefined, oddFloats(random, n * length, kind)]) {
        const withBlocks = length % BLOCK === 0;
        const { x, out, blocks } = normalized(values, update, weight, withBlocks);
        const sums = values.map((value, i) => value + (update?.[i] ?? 0));
        expectSameBits(x, update ? sums : values);
        const expected = new Float32Array(n * length);
        for (let at = 0; at < expected.length; at += length)
          expected.set(plainNorm((update ? sums : values).subarray(at, at + length), weight, 1e-5), at);
        expectSameBits(out, expected);
        if (withBlocks) expect(blocks).toEqual(blocksOf(expected));
      }
    }
  });

  it('gives values whose mean square is 1, times the weights', () => {
    const values = oddFloats(new Random(6), 300, 'ordinary');
    const weight = oddFloats(new Random(7), 300, 'ordinary');
    const rms = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / 300 + 1e-5);
    normalized(values, undefined, weight, false).out.forEach((value, i) => {
      expect(value / ((values[i] / rms) * weight[i])).toBeCloseTo(1, 5);
    });
  });
});

describe('SwiGLU', () => {
  function swiGlu(gate: Float32Array, up: Float32Array, withBlocks: boolean) {
    const memory = memoryFor(gate.length, gate.length, gate.length);
    const [g, u] = [gate, up].map((from) => {
      const to = memory.floats(from.length);
      to.set(from);
      return to;
    });
    const blocks = memory.bytes((gate.length / BLOCK) * Q8K_BYTES);
    memory.kernels.swiGlu(g.byteOffset, u.byteOffset, gate.length, withBlocks ? blocks.byteOffset : 0);
    return { gate: g, blocks };
  }

  it.each(KINDS)('of %s values has the bits of its plain form', (kind: Kind) => {
    const random = new Random(8);
    for (let round = 0; round < 20; round++) {
      const gate = oddFloats(random, 2 * BLOCK, kind);
      const up = oddFloats(random, 2 * BLOCK, 'ordinary');
      const expected = plainSwiGlu(gate, up);
      const result = swiGlu(gate, up, true);
      expectSameBits(result.gate, expected);
      expect(result.blocks).toEqual(blocksOf(expected));
    }
  });

  it('has the bits of its plain form wherever e^x changes its way', () => {
    const edges = [0, -0, 709, 709.7827, 709.79, 710, 745.1, 745.14, 746, 1e30, 708.4, 88, 0.3466, 0.34657];
    const gate = Float32Array.from({ length: BLOCK }, (_, i) => (i % 2 ? -1 : 1) * (edges[i >> 1] ?? i / 3));
    const up = new Float32Array(BLOCK).fill(3);
    expectSameBits(swiGlu(gate, up, false).gate, plainSwiGlu(gate, up));
  });

  it('is x times the logistic function of x times up, without overflow at either end', () => {
    const gate = new Float32Array(BLOCK);
    gate.set([0, 1, -1, 100, -100, -1e30]);
    const up = new Float32Array(BLOCK).fill(3);
    up.set([5, 2, 2]);
    const [zero, one, minusOne, hundred, least, lowest] = swiGlu(gate, up, false).gate;
    expect([zero, hundred, lowest]).toEqual([0, 300, -0]);
    expect(one).toBeCloseTo(1.4621172, 6);
    expect(minusOne).toBeCloseTo(-0.5378828, 6);
    expect(Math.abs(least)).toBeLessThan(1e-40);
  });
});

describe('rotation', () => {
  it.each(KINDS)('of %s values has the bits of its plain form', (kind) => {
    const random = new Random(9);
    for (const [headDim, dimensions] of [
      [64, 64],
      [80, 20],
      [6, 2],
    ]) {
      const values = oddFloats(random, 5 * headDim, kind);
      const angles = Float32Array.from({ length: dimensions }, () => random.nextDouble() * 2 - 1);
      const memory = memoryFor(values.length, dimensions);
      const turned = memory.floats(values.length);
      turned.set(values);
      const row = memory.floats(dimensions);
      row.set(angles);
      memory.kernels.rotate(turned.byteOffset, 5, headDim, dimensions, row.byteOffset);
      expectSameBits(turned, plainRotation(values, headDim, dimensions, angles));
    }
  });
});
