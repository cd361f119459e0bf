import { floatToHalf, halfToFloat } from '../../../gguf/index.js';
import { Random } from '../../../maths/index.js';
import { plainSoftmax } from './plain-softmax.js';

/** One case of vectors/softmax.json; its README has the format. */
export interface SoftmaxVector {
  readonly name: string;
  readonly width: number;
  readonly scale: string;
  readonly slope: string;
  readonly sink?: string;
  readonly mask?: { readonly type: 'f32' | 'f16'; readonly values: string };
  readonly elements: string;
  readonly expect: string;
}

interface Case {
  readonly rows: readonly (readonly number[])[];
  readonly scale?: number;
  readonly slope?: number;
  readonly sink?: number;
  readonly maskType?: 'f32' | 'f16';
  /** As long as `rows`. */
  readonly masks?: readonly (readonly number[])[];
}

const { fround } = Math;
const INFINITY = Number.POSITIVE_INFINITY;

/** Logits whose exponentials, less the greatest, lie within 4 double ulps of where two float32 meet. */
const HARD_TO_ROUND = [0xb3000000, 0xbae0e25c, 0xbbf0edf1, 0xc16912cd].map(floatOf);

/** All golden vectors; the same at every call. */
export function softmaxVectors(): SoftmaxVector[] {
  const random = new Random(2026);
  /** Sums of four are bell-shaped enough. */
  const gauss = (width: number, spread: number): number[] =>
    Array.from({ length: width }, () => {
      const sum = random.nextDouble() + random.nextDouble() + random.nextDouble() + random.nextDouble();
      return fround((sum - 2) * spread);
    });
  const causal = (width: number, seen: number): number[] =>
    Array.from({ length: width }, (_, i) => (i < seen ? 0 : -INFINITY));
  const distances = (width: number): number[] => Array.from({ length: width }, (_, i) => i + 1 - width);
  const line = (width: number, step: number): number[] =>
    Array.from({ length: width }, (_, i) => fround(i * step));

  return [
    encode('one element', { rows: [gauss(1, 5)] }),
    encode('seven elements, three rows', { rows: [gauss(7, 5), gauss(7, 50), gauss(7, 0.01)] }),
    encode('one element less than a tile', { rows: [gauss(255, 8)], scale: fround(1 / 8) }),
    encode('a whole tile', { rows: [gauss(256, 8)], scale: fround(1 / Math.sqrt(64)) }),
    encode('one element more than a tile', { rows: [gauss(257, 8)] }),
    encode('two whole tiles, two rows', { rows: [gauss(512, 8), gauss(512, 20)], scale: 0.5 }),
    encode('three tiles', { rows: [gauss(700, 12)] }),
    encode('the greatest element in the last tile', { rows: [line(520, 0.125)] }),
    encode('the greatest element in the first tile', { rows: [line(520, 0.125).toReversed()] }),
    encode('equal elements', { rows: [Array(300).fill(1.5)] }),
    encode('a causal mask in float32', {
      rows: [gauss(300, 8), gauss(300, 8)],
      maskType: 'f32',
      masks: [causal(300, 180), causal(300, 257)],
    }),
    encode('a causal mask in fp16', { rows: [gauss(64, 8)], maskType: 'f16', masks: [causal(64, 33)] }),
    encode('distances with a slope, float32', {
      rows: [gauss(270, 4)],
      slope: fround(Math.SQRT1_2),
      maskType: 'f32',
      masks: [distances(270)],
    }),
    encode('distances with a slope, fp16', {
      rows: [gauss(270, 4)],
      slope: 0.0625,
      maskType: 'f16',
      masks: [distances(270)],
    }),
    encode('subnormal fp16 masks', {
      rows: [gauss(24, 1)],
      slope: 65536,
      maskType: 'f16',
      masks: [gauss(24, 2 ** -14)],
    }),
    encode('a sink above all elements', { rows: [gauss(300, 4)], sink: 20 }),
    encode('a sink below all elements', { rows: [gauss(300, 4)], sink: -30 }),
    encode('a sink, a mask and a scale', {
      rows: [gauss(40, 8), gauss(40, 8)],
      scale: 0.25,
      sink: 0.5,
      maskType: 'f16',
      masks: [causal(40, 12), causal(40, 40)],
    }),
    encode('a row masked entirely, between two others', {
      rows: [gauss(20, 4), gauss(20, 4), gauss(20, 4)],
      maskType: 'f32',
      masks: [causal(20, 20), causal(20, 0), causal(20, 5)],
    }),
    encode('a row masked entirely, with a sink', {
      rows: [gauss(20, 4)],
      sink: 1,
      maskType: 'f32',
      masks: [causal(20, 0)],
    }),
    encode('a slope of zero and an infinite mask', {
      rows: [gauss(8, 4)],
      slope: 0,
      maskType: 'f32',
      masks: [causal(8, 4)],
    }),
    encode('an infinite element', { rows: [[1, INFINITY, 2]] }),
    encode('NaN among elements', {
      rows: [
        [1, Number.NaN, 2],
        [1, 2, 3],
      ],
    }),
    encode('the lowest float32', { rows: [Array(3).fill(-3.4028234663852886e38)] }),
    encode('a scale of zero', { rows: [gauss(5, 4)], scale: 0 }),
    encode('a product that overflows', {
      rows: [[1e30, -1e30, 0]].map((row) => row.map(fround)),
      scale: 1e20,
    }),
    encode('subnormal results', { rows: [line(210, -0.5)] }),
    encode('exponentials that are hard to round', { rows: [[0, ...HARD_TO_ROUND]] }),
  ];
}

function encode(name: string, { rows, scale = 1, slope = 1, sink, maskType, masks }: Case): SoftmaxVector {
  const isHalf = maskType === 'f16';
  const patterns = masks?.flat().map((value) => (isHalf ? floatToHalf(value) : bitsOf(value)));
  const seen = masks?.map((row) => (isHalf ? row.map((value) => halfToFloat(floatToHalf(value))) : row));
  const results = rows.flatMap((logits, i) =>
    plainSoftmax({
      logits,
      scale: fround(scale),
      slope: fround(slope),
      ...(seen && { mask: seen[i] }),
      ...(sink !== undefined && { sink }),
    }),
  );
  return {
    name,
    width: rows[0].length,
    scale: words([scale]),
    slope: words([slope]),
    ...(sink !== undefined && { sink: words([sink]) }),
    ...(maskType &&
      patterns && {
        mask: { type: maskType, values: patterns.map((bits) => hex(bits, isHalf ? 4 : 8)).join(' ') },
      }),
    elements: words(rows.flat()),
    expect: words(results),
  };
}

function words(values: readonly number[]): string {
  return values.map((value) => hex(bitsOf(value), 8)).join(' ');
}

function hex(bits: number, digits: number): string {
  return bits.toString(16).padStart(digits, '0');
}

function bitsOf(value: number): number {
  // One pattern for NaN, whatever the machine makes of it.
  return Number.isNaN(value) ? 0x7fc00000 : new Uint32Array(Float32Array.of(value).buffer)[0];
}

function floatOf(bits: number): number {
  return new Float32Array(Uint32Array.of(bits).buffer)[0];
}
