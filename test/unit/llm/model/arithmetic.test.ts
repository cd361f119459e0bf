import { describe, expect, it } from 'vitest';
import { floatToHalf, halfToFloat } from '../../../../gguf/index.js';
import { KernelMemory } from '../../../../llm/kernels/kernels.js';
import { KvCache } from '../../../../llm/kv/cache.js';
import { KvPool } from '../../../../llm/kv/pool.js';
import { Rope } from '../../../../llm/model/rope.js';
import { Random } from '../../../../maths/index.js';
import { plainRotation } from './plain.js';

function randomFloats(length: number, seed: number, scale = 1): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length }, () => (random.nextDouble() * 2 - 1) * scale);
}

const roundToHalf = (value: number): number => halfToFloat(floatToHalf(value));

describe('conversions of the kernels', () => {
  it('all 65536 halves become what gguf makes of them', () => {
    const memory = new KernelMemory(65536 * 6);
    const halves = memory.halves(65536);
    const floats = memory.floats(65536);
    for (let bits = 0; bits < 65536; bits++) halves[bits] = bits;
    memory.kernels.decodeHalves(halves.byteOffset, floats.byteOffset, 65536);
    expect([...floats]).toEqual(Array.from(halves, (bits) => halfToFloat(bits)));
  });

  it('float32 of every size are rounded as gguf rounds them', () => {
    const values = [
      0,
      -0,
      65519.99,
      65520,
      1e9,
      Number.POSITIVE_INFINITY,
      Number.NaN,
      2 ** -24,
      2 ** -25,
      6.1e-5,
    ];
    for (let power = -26; power < 17; power++) {
      for (const value of randomFloats(200, power + 100, 2 ** power)) values.push(value);
      // Exactly between two halves.
      values.push(2 ** power * (1 + 2 ** -11), 2 ** power * (1 + 3 * 2 ** -11));
    }
    const memory = new KernelMemory(values.length * 6 + 128);
    const floats = memory.floats(values.length);
    const halves = memory.halves(values.length);
    floats.set(values);
    memory.kernels.encodeHalves(floats.byteOffset, halves.byteOffset, values.length);
    expect([...halves]).toEqual(values.map((value) => floatToHalf(value)));
  });
});

/** The order of assembly/dot.ts, written plainly: 16 lanes, then pairs 8, 4, 2 and 1 apart. */
function dotInLanes(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let lanes = new Float32Array(16);
  for (let i = 0; i < a.length; i++) lanes[i % 16] += Math.fround(a[i] * b[i]);
  while (lanes.length > 1) {
    const half = lanes.length / 2;
    lanes = Float32Array.from({ length: half }, (_, i) => lanes[i] + lanes[i + half]);
  }
  return lanes[0];
}

it.each([8, 13, 16, 64, 100, 256])('a dot product of %s values adds in the documented order', (length) => {
  const memory = new KernelMemory(3 * 4 * 512);
  const row = memory.floats(length);
  const columns = memory.floats(2 * length);
  const results = memory.floats(2);
  row.set(randomFloats(length, 1));
  columns.set(randomFloats(2 * length, 2));
  memory.kernels.multiplyRow(row.byteOffset, columns.byteOffset, 2, length, results.byteOffset);
  expect([...results]).toEqual([
    dotInLanes(row, columns.subarray(0, length)),
    dotInLanes(row, columns.subarray(length)),
  ]);
});

describe('attention', () => {
  const shape = { layers: 2, heads: 6, kvHeads: 2, headDim: 24 };
  const tokens = 37;

  function filledCache(maxTokens: number) {
    const pool = new KvPool(shape, { type: 'f16', bytes: 1 << 20, contextLength: maxTokens });
    const cache = new KvCache(pool, maxTokens);
    const keys = randomFloats(tokens * 48, 3, 2);
    const values = randomFloats(tokens * 48, 4);
    for (let token = 0; token < tokens; token++) {
      cache.extendTo(token, token);
      cache.store(1, token, keys, values, token * 48);
    }
    return { cache, keys, values };
  }

  it('is the softmax-weighted mean of the values, each group of heads over its own keys', () => {
    const { cache, keys, values } = filledCache(64);
    const queries = randomFloats(6 * 24, 5, 2);
    const out = new Float32Array(6 * 24);
    cache.queue(1, 0, tokens - 1, queries, 0);
    cache.attend(1, 1, out);
    for (let head = 0; head < 6; head++) {
      const kvHead = Math.floor(head / 3);
      const scores = Array.from({ length: tokens }, (_, token) => {
        let sum = 0;
        for (let i = 0; i < 24; i++)
          sum += roundToHalf(queries[head * 24 + i]) * roundToHalf(keys[token * 48 + kvHead * 24 + i]);
        return sum / Math.sqrt(24);
      });
      const weights = scores.map((score) => Math.exp(score - Math.max(...scores)));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (let i = 0; i < 24; i++) {
        const mean = weights.reduce(
          (sum, weight, token) => sum + (weight / total) * values[token * 48 + kvHead * 24 + i],
          0,
        );
        expect(out[head * 24 + i]).toBeCloseTo(mean, 3);
      }
    }
  });

  it('does not depend on how much room the cache has', () => {
    const queries = randomFloats(6 * 24, 5);
    const [small, large] = [37, 200].map((maxTokens) => {
      const out = new Float32Array(6 * 24);
      const { cache } = filledCache(maxTokens);
      cache.queue(1, 0, tokens - 1, queries, 0);
      cache.attend(1, 1, out);
      return out;
    });
    expect(large).toEqual(small);
  });

  it('sees nothing after its position', () => {
    const { cache } = filledCache(64);
    const queries = randomFloats(6 * 24, 5);
    const before = new Float32Array(6 * 24);
    cache.queue(1, 0, 10, queries, 0);
    cache.attend(1, 1, before);
    cache.store(1, 11, randomFloats(48, 9), randomFloats(48, 10), 0);
    const after = new Float32Array(6 * 24);
    cache.queue(1, 0, 10, queries, 0);
    cache.attend(1, 1, after);
    expect(after).toEqual(before);
  });
});

describe('RoPE', () => {
  const plain = {
    pairs: 'neighbours' as const,
    dimensions: 8,
    base: 10000,
    scale: 1,
    originalContext: 512,
    needsFactors: false,
    attentionFactor: 1,
    yarn: undefined,
  };

  /** The angle of each pair, read back from its cosine and sine. */
  function angles(rope: Rope, position: number): number[] {
    const row = new Float32Array(8);
    rope.fillAngles(position, row, 0);
    return [0, 2, 4, 6].map((i) => Math.atan2(row[i + 1], row[i]));
  }

  it('turns pair i by position * base^(-2i/d)', () => {
    const expected = [1, 0.1, 0.01, 0.001].map((frequency) => 3 * frequency);
    angles(new Rope(plain, undefined), 3).forEach((angle, i) => {
      expect(angle).toBeCloseTo(expected[i], 6);
    });
  });

  it('turns neighbouring values of each head and leaves what is beyond the rotated dimensions', () => {
    const rope = new Rope({ ...plain, dimensions: 2 }, undefined);
    const row = new Float32Array(2);
    rope.fillAngles(1, row, 0);
    const values = Float32Array.of(1, 0, 7, 0, 1, 7);
    const turned = plainRotation(values, 3, 2, row);
    expect(turned[0]).toBeCloseTo(Math.cos(1), 6);
    expect(turned[1]).toBeCloseTo(Math.sin(1), 6);
    expect(turned[3]).toBeCloseTo(-Math.sin(1), 6);
    expect(turned[4]).toBeCloseTo(Math.cos(1), 6);
    expect([turned[2], turned[5]]).toEqual([7, 7]);
  });

  it('linear scaling divides positions by the factor', () => {
    expect(angles(new Rope({ ...plain, scale: 0.25 }, undefined), 12)).toEqual(
      angles(new Rope(plain, undefined), 3),
    );
  });

  it('LLaMA-3 factors divide each pair’s angle', () => {
    const [first, , third] = angles(new Rope(plain, Float32Array.of(1, 1, 8, 8)), 3);
    expect(first).toBeCloseTo(3, 6);
    expect(third).toBeCloseTo(0.03 / 8, 7);
  });

  it('YaRN’s bounds and its share are the file’s where it names them', () => {
    const yarn = { extrapolation: 1, betaFast: 32, betaSlow: 1 };
    const slowest = (more: Partial<typeof yarn>) =>
      angles(new Rope({ ...plain, scale: 0.25, yarn: { ...yarn, ...more } }, undefined), 2).at(-1)!;
    // Slow pairs are scaled; with a bound below their turns over the context they are not.
    expect(slowest({})).toBeCloseTo(0.002 / 4, 6);
    expect(slowest({ betaFast: 0.05, betaSlow: 0.01 })).toBeCloseTo(0.002, 6);
    expect(slowest({ betaFast: 0.05, betaSlow: 0.01, extrapolation: 0.5 })).toBeCloseTo(0.00125, 6);
  });

  it('YaRN keeps fast pairs, scales slow ones, and magnifies by 1 + 0.1 ln(factor)', () => {
    const rope = new Rope(
      { ...plain, scale: 0.25, yarn: { extrapolation: 1, betaFast: 32, betaSlow: 1 } },
      undefined,
    );
    const [fast, , , slow] = angles(rope, 2);
    expect(fast).toBeCloseTo(2, 5);
    expect(slow).toBeCloseTo(0.002 / 4, 6);
    const row = new Float32Array(8);
    rope.fillAngles(2, row, 0);
    expect(Math.hypot(row[0], row[1])).toBeCloseTo(1 + 0.1 * Math.log(4), 5);
  });
});
