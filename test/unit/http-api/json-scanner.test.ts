import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  JsonScanner,
  MAX_BODY_DEPTH,
  MAX_BODY_NAMES,
  MAX_BODY_VALUES,
} from '../../../http-api/json-scanner.js';

/** What a scanner that takes the pieces counts, or the code of its refusal. */
function scan(pieces: readonly Uint8Array[]): number | string {
  const scanner = new JsonScanner();
  try {
    for (const piece of pieces) scanner.write(piece);
    return scanner.values;
  } catch (error) {
    return (error as { code: string }).code;
  }
}

/** Values within a value, keys and itself included, and the levels of lists and objects. */
function walk(value: unknown): { count: number; depth: number } {
  if (typeof value !== 'object' || value === null) return { count: 1, depth: 0 };
  const inside = Object.values(value).map(walk);
  const keys = Array.isArray(value) ? 0 : inside.length;
  return {
    count: 1 + keys + inside.reduce((sum, { count }) => sum + count, 0),
    depth: 1 + Math.max(0, ...inside.map(({ depth }) => depth)),
  };
}

/** The bytes of a text, cut at some of its places. */
function cut(text: string, places: readonly number[]): Uint8Array[] {
  const bytes = Buffer.from(text);
  const ends = places.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b);
  return [0, ...ends].map((start, i) => bytes.subarray(start, ends[i] ?? bytes.length));
}

const json = fc.oneof(
  fc.jsonValue({ stringUnit: 'binary', maxDepth: 6 }),
  // What cuts and escapes are most easily lost in.
  fc.jsonValue({ stringUnit: fc.constantFrom('"', '\\', '[', '}', ',', 'é', '\u2028', '\ud83d') }),
);

it('any JSON text, written and cut in any way, has the values and levels that its value has', () => {
  fc.assert(
    fc.property(json, fc.array(fc.nat(10_000), { maxLength: 20 }), fc.nat(3), (value, places, indent) => {
      const pieces = cut(JSON.stringify(value, null, indent), places);
      expect(scan(pieces)).toBe(walk(JSON.parse(JSON.stringify(value))).count);
    }),
    { numRuns: 2_000 },
  );
});

it('a text is accepted exactly where it nests no deeper than the limit', () => {
  fc.assert(
    fc.property(
      json,
      fc.integer({ min: MAX_BODY_DEPTH - 8, max: MAX_BODY_DEPTH + 1 }),
      fc.array(fc.nat(10_000)),
      (value, levels, places) => {
        const whole = Array.from({ length: levels }).reduce((inner: unknown) => [inner], value);
        const refused = typeof scan(cut(JSON.stringify(whole), places)) === 'string';
        expect(refused).toBe(walk(whole).depth > MAX_BODY_DEPTH);
      },
    ),
  );
});

it.each(['{}', '0', 'null', '""', '[]', '"\\\\"'])(
  'of %s as many are accepted as the limit says',
  (entry) => {
    // The list itself is a value, too.
    const text = (count: number) => Buffer.from(`[${Array(count).fill(entry).join(',')}]`);
    expect(scan([text(MAX_BODY_VALUES - 1)])).toBe(MAX_BODY_VALUES);
    expect(scan([text(MAX_BODY_VALUES)])).toBe('request_too_complex');
  },
);

it('as many names are accepted as the limit says, and colons in texts are none', () => {
  const text = (count: number) =>
    Buffer.from(`{${Array.from({ length: count }, (_, i) => `"${i}:":":::"`).join(',')}}`);
  expect(scan([text(MAX_BODY_NAMES)])).toBe(1 + 2 * MAX_BODY_NAMES);
  expect(scan([text(MAX_BODY_NAMES + 1)])).toBe('request_too_complex');
});

it('of a broken text what stands before its fault is counted', () => {
  expect(scan([Buffer.from(`[${'{},'.repeat(MAX_BODY_VALUES)}`)])).toBe('request_too_complex');
  expect(scan([Buffer.from('['.repeat(MAX_BODY_DEPTH + 1))])).toBe('request_too_complex');
  expect(scan([Buffer.from(`]]]]${'['.repeat(MAX_BODY_DEPTH)}`)])).toBe(MAX_BODY_DEPTH);
});

it('a byte order mark is no value', () => {
  expect(scan([Buffer.from('\ufeff{"a":1}')])).toBe(3);
});
