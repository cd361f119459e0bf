import type { GrammarBuilder, Range } from './grammar.js';

/** Unicode's code points without the surrogates, which UTF-8 does not write. */
export const ALL: readonly Range[] = [
  [0, 0xd7ff],
  [0xe000, 0x10ffff],
];

/** Ranges in order, none touching another. */
export function normalised(ranges: readonly Range[]): Range[] {
  const sorted = ranges.filter(([from, to]) => from <= to).toSorted(([a], [b]) => a - b);
  const merged: [number, number][] = [];
  for (const [from, to] of sorted) {
    const last = merged.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else merged.push([from, to]);
  }
  return merged;
}

/** What is in both. */
export function intersection(a: readonly Range[], b: readonly Range[]): Range[] {
  return normalised(
    a.flatMap(([from, to]) => b.map(([f, t]): Range => [Math.max(from, f), Math.min(to, t)])),
  );
}

/** The code points that are not in `ranges`. */
export function complement(ranges: readonly Range[]): Range[] {
  const gaps: Range[] = [];
  let from = 0;
  for (const [start, end] of normalised(ranges)) {
    gaps.push([from, start - 1]);
    from = end + 1;
  }
  gaps.push([from, 0x10ffff]);
  return intersection(gaps, ALL);
}

/** One character of `ranges`, in UTF-8. */
export function utf8Place(grammar: GrammarBuilder, ranges: readonly Range[], next: number): number {
  const single: Range[] = [];
  const ways: number[] = [];
  for (const [from, to] of intersection(ranges, ALL)) {
    for (const sequence of utf8Sequences(from, to)) {
      if (sequence.length === 1) single.push(sequence[0]);
      else ways.push(sequence.reduceRight((after, range) => grammar.bytes([range], after), next));
    }
  }
  if (single.length > 0) ways.unshift(grammar.bytes(single, next));
  return grammar.anyOf(ways);
}

/** The last code point that UTF-8 writes in one byte, in two, three, four. */
const LAST_OF_LENGTH = [0x7f, 0x7ff, 0xffff, 0x10ffff];

/**
 * The UTF-8 forms of a range of code points as sequences of byte ranges: it is cut where the length changes, and then so
 * that all bytes after the first that differs take every value.
 */
export function* utf8Sequences(from: number, to: number): Generator<Range[], void, void> {
  for (const last of LAST_OF_LENGTH) {
    if (from > last || to <= last) continue;
    yield* utf8Sequences(from, last);
    yield* utf8Sequences(last + 1, to);
    return;
  }
  const length = LAST_OF_LENGTH.findIndex((last) => to <= last) + 1;
  for (let low = 1; low < length; low++) {
    const tail = 2 ** (6 * low) - 1;
    if ((from & ~tail) === (to & ~tail)) continue;
    if ((from & tail) !== 0) {
      yield* utf8Sequences(from, from | tail);
      yield* utf8Sequences((from | tail) + 1, to);
      return;
    }
    if ((to & tail) !== tail) {
      yield* utf8Sequences(from, (to & ~tail) - 1);
      yield* utf8Sequences(to & ~tail, to);
      return;
    }
  }
  const first = Buffer.from(String.fromCodePoint(from));
  const last = Buffer.from(String.fromCodePoint(to));
  yield Array.from(first, (byte, i): Range => [byte, last[i]]);
}
