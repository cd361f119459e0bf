import { describe, expect, it } from 'vitest';
import { floatToHalf, halfToFloat } from '../../../../gguf/index.js';
import { KvCache } from '../../../../llm/kv/cache.js';
import type { KvType } from '../../../../llm/kv/layout.js';
import { KvPool } from '../../../../llm/kv/pool.js';
import { exp, Random } from '../../../../maths/index.js';
import { oddHalves } from '../../../system/support/odd-floats.js';
import { expectSameBits } from '../same-bits.js';

const SHAPE = { layers: 2, heads: 6, kvHeads: 2, headDim: 24 };
type Shape = typeof SHAPE;
const PAGE = 16;

const { fround } = Math;
const half = (value: number): number => halfToFloat(floatToHalf(value));

function randomFloats(length: number, seed: number, scale = 1): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length }, () => (random.nextDouble() * 2 - 1) * scale);
}

/** 16 lanes, then pairs 8, 4, 2 and 1 apart: the order of assembly/dot.ts. */
function sumLanes(lanes: Float32Array): number {
  let sums = lanes;
  while (sums.length > 1) {
    const length = sums.length / 2;
    sums = Float32Array.from({ length }, (_, i) => sums[i] + sums[i + length]);
  }
  return sums[0];
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const lanes = new Float32Array(16);
  for (let i = 0; i < a.length; i++) lanes[i % 16] += fround(a[i] * b[i]);
  return sumLanes(lanes);
}

/** A page's numbers of one head as INT8 and their scale: assembly/quantized-page.ts, written plainly. */
function quantize(values: readonly number[]): { ints: number[]; scale: number } {
  const largest = Math.max(...values.map(Math.abs));
  const inverse = largest > 0 ? fround(127 / largest) : 0;
  return { ints: values.map((value) => toNearest(fround(value * inverse))), scale: fround(largest / 127) };
}

function toNearest(value: number): number {
  const down = Math.floor(value);
  const above = value - down;
  return above > 0.5 || (above === 0.5 && down % 2 !== 0) ? down + 1 : down;
}

function widthOf({ kvHeads, headDim }: Shape): number {
  return kvHeads * headDim;
}

function queryWidthOf({ heads, headDim }: Shape): number {
  return heads * headDim;
}

/** The attention of one token over contiguous keys and values, a row a token, in plain TypeScript. */
function plainAttention(
  shape: Shape,
  type: KvType,
  position: number,
  keys: Float32Array,
  values: Float32Array,
  queries: Float32Array,
  window = 0,
): Float32Array {
  const firstToken = window === 0 ? 0 : Math.max(0, position + 1 - window);
  const { heads, kvHeads, headDim } = shape;
  const [width, group] = [kvHeads * headDim, heads / kvHeads];
  const scale = fround(1 / fround(Math.sqrt(headDim)));
  const ownPage = position - (position % PAGE);
  const out = new Float32Array(heads * headDim);
  const row = (from: Float32Array, token: number, kvHead: number): number[] =>
    Array.from({ length: headDim }, (_, i) => half(from[token * width + kvHead * headDim + i]));
  const pages = new Map<Float32Array, Map<number, { ints: number[]; scale: number }>>();
  const quantized = (from: Float32Array, token: number, kvHead: number) => {
    const first = token - (token % PAGE);
    const known = pages.get(from) ?? new Map<number, { ints: number[]; scale: number }>();
    pages.set(from, known);
    const page =
      known.get(first * kvHeads + kvHead) ??
      quantize(Array.from({ length: PAGE }, (_, i) => row(from, first + i, kvHead)).flat());
    known.set(first * kvHeads + kvHead, page);
    const { ints, scale } = page;
    return { ints: ints.slice((token - first) * headDim, (token - first + 1) * headDim), scale };
  };
  for (let head = 0; head < heads; head++) {
    const kvHead = Math.floor(head / group);
    const query = Array.from(queries.subarray(head * headDim, (head + 1) * headDim), half);
    const largest = Math.max(...query.map(Math.abs));
    const queryInts = query.map((value) => toNearest(fround(value * fround(32767 / largest))));
    const queryScale = fround(largest / 32767);
    const isInt8 = (token: number): boolean => type === 'int8' && token < ownPage;
    const scores = Array.from({ length: position + 1 }, (_, token) => {
      if (!isInt8(token)) return fround(dot(query, row(keys, token, kvHead)) * scale);
      const key = quantized(keys, token, kvHead);
      const sum = key.ints.reduce((total, int, i) => total + int * queryInts[i], 0);
      return fround(fround(sum) * fround(fround(queryScale * key.scale) * scale));
    });
    const most = Math.max(...scores.slice(firstToken));
    const weights = scores.map((score, token) =>
      token < firstToken ? 0 : fround(exp(fround(score - most))),
    );
    const inverse = fround(1 / weights.reduce((sum, weight) => sum + weight, 0));
    const lanes = Array.from({ length: headDim }, () => new Float32Array(16));
    weights.forEach((weight, token) => {
      let share = half(fround(weight * inverse));
      let value: readonly number[];
      if (isInt8(token)) {
        const { ints, scale } = quantized(values, token, kvHead);
        share = fround(share * scale);
        value = ints;
      } else value = row(values, token, kvHead);
      for (let i = 0; i < headDim; i++) lanes[i][token % 16] += fround(share * value[i]);
    });
    for (let i = 0; i < headDim; i++) out[head * headDim + i] = sumLanes(lanes[i]);
  }
  return out;
}

describe.each(['f16', 'int8'] as const)('attention over pages of %s', (type) => {
  const tokens = 75;
  const [WIDTH, QUERY_WIDTH] = [widthOf(SHAPE), queryWidthOf(SHAPE)];
  const keys = randomFloats(tokens * WIDTH, 3, 2);
  const values = randomFloats(tokens * WIDTH, 4);
  const queries = randomFloats(QUERY_WIDTH, 5, 2);

  function filled(length: number) {
    const cache = new KvCache(new KvPool(SHAPE, { type, bytes: 1 << 20, contextLength: 100 }), 100);
    for (let token = 0; token < length; token++) {
      cache.extendTo(token, token);
      for (let layer = 0; layer < SHAPE.layers; layer++)
        cache.store(layer, token, keys, values, token * WIDTH);
    }
    return cache;
  }

  it.each([0, 1, 14, 15, 16, 17, 31, 32, 50, 74])(
    'has the bits of plain attention over rows at position %s',
    (position) => {
      // More is stored than the column may see: a step stores all its columns first.
      const cache = filled(tokens);
      for (const layer of [0, 1]) {
        const out = new Float32Array(QUERY_WIDTH);
        cache.queue(layer, 0, position, queries, 0);
        cache.attend(layer, 1, out);
        expect(out).toEqual(plainAttention(SHAPE, type, position, keys, values, queries));
      }
    },
  );

  it.each([1, 5, 16, 17, 40, 65])(
    'has the bits of plain attention over a window of %s tokens, whose pages alone are held',
    (window) => {
      const shape = { ...SHAPE, layerWindows: [0, window] };
      const options = { scale: fround(1 / fround(Math.sqrt(SHAPE.headDim))), window, cap: 0 };
      const pool = new KvPool(shape, { type, bytes: 1 << 20, contextLength: 100 });
      const cache = new KvCache(pool, 100);
      for (let token = 0; token < tokens; token++) {
        cache.extendTo(token, token);
        for (const layer of [0, 1]) cache.store(layer, token, keys, values, token * WIDTH);
        const outs = [new Float32Array(QUERY_WIDTH), new Float32Array(QUERY_WIDTH)];
        cache.queue(0, 0, token, queries, 0);
        cache.attend(0, 1, outs[0]);
        cache.queue(1, 0, token, queries, 0);
        cache.attend(1, 1, outs[1], options);
        if (token % 3 === 0) {
          expect(outs[0]).toEqual(plainAttention(SHAPE, type, token, keys, values, queries));
          expect(outs[1]).toEqual(plainAttention(SHAPE, type, token, keys, values, queries, window));
        }
        cache.settle();
        // What was let go is nobody's: let others have it, and see whether it is looked at.
        pool.clear();
        const other = new KvCache(pool, 100);
        for (let at = other.reserve(16); at > 0; at--) {
          other.extendTo(16 - at, 1);
          for (const layer of [0, 1])
            other.store(layer, 16 - at, new Float32Array(WIDTH).fill(Number.NaN), values, 0);
        }
        other.release();
      }
    },
  );

  it('sees the same whether earlier tokens are settled or not', () => {
    const cache = filled(40);
    const before = new Float32Array(QUERY_WIDTH);
    cache.queue(1, 0, 39, queries, 0);
    cache.attend(1, 1, before);
    cache.settle();
    const after = new Float32Array(QUERY_WIDTH);
    cache.queue(1, 0, 39, queries, 0);
    cache.attend(1, 1, after);
    expect(after).toEqual(before);
  });
});

const SHAPES: readonly Shape[] = [
  { layers: 1, heads: 8, kvHeads: 1, headDim: 64 },
  { layers: 1, heads: 2, kvHeads: 2, headDim: 38 },
  { layers: 1, heads: 3, kvHeads: 1, headDim: 80 },
];

/** Exponents of the halves that keys, values and queries are made of; 0 is that of subnormal halves. */
const SIZES = { subnormal: [0, 0], small: [0, 8], any: [0, 30], ordinary: [12, 16], huge: [28, 30] } as const;

describe.each(['f16', 'int8'] as const)('attention over pages of %s', (type) => {
  describe.each(SHAPES)('with $heads heads on $kvHeads of $headDim', (shape) => {
    it.each(Object.entries(SIZES))('has the bits of plain attention over %s halves', (_, [least, most]) => {
      const random = new Random(least * 100 + most);
      const [tokens, width, queryWidth] = [131, widthOf(shape), queryWidthOf(shape)];
      const [keys, values] = [tokens * width, tokens * width].map((n) => oddHalves(random, n, least, most));
      const cache = new KvCache(new KvPool(shape, { type, bytes: 1 << 22, contextLength: tokens }), tokens);
      for (let token = 0; token < tokens; token++) {
        cache.extendTo(token, token);
        cache.store(0, token, keys, values, token * width);
      }
      // Where keys are large, queries that leave weights to more than one token.
      for (const [position, size] of [
        [3, 1],
        [48, 1e-4],
        [63, 1e-3],
        [64, 1],
        [130, 1e-7],
      ]) {
        const queries = oddHalves(random, queryWidth, 8, 18).map((value) => value * size);
        const out = new Float32Array(queryWidth);
        cache.queue(0, 0, position, queries, 0);
        cache.attend(0, 1, out);
        expectSameBits(out, plainAttention(shape, type, position, keys, values, queries));
      }
    });
  });
});

describe('INT8', () => {
  const [WIDTH, QUERY_WIDTH] = [widthOf(SHAPE), queryWidthOf(SHAPE)];

  it('makes NaN of what an infinite key of a complete page is seen with', () => {
    const cache = new KvCache(new KvPool(SHAPE, { type: 'int8', bytes: 1 << 20, contextLength: 100 }), 100);
    for (let token = 0; token < 17; token++) {
      cache.extendTo(token, token);
      cache.store(0, token, new Float32Array(WIDTH).fill(token === 3 ? 1e9 : 1), new Float32Array(WIDTH), 0);
    }
    const out = new Float32Array(QUERY_WIDTH);
    cache.queue(0, 0, 16, new Float32Array(QUERY_WIDTH).fill(1), 0);
    cache.attend(0, 1, out);
    expect(out.every(Number.isNaN)).toBe(true);
  });

  it('is refused for heads whose products could exceed 32 bits', () => {
    const shape = { ...SHAPE, headDim: 514 };
    expect(() => new KvPool(shape, { type: 'int8', bytes: 1 << 24, contextLength: 100 })).toThrow(
      /LLM_KV_TYPE.*514/,
    );
  });
});
