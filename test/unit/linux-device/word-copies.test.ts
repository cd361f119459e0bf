import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readWords, type WordMemory, writeWords } from '../../../linux-device/word-copies.js';

const SIZE = 64;

/** Memory that counts how often each of its bytes is read and written, and in what pieces. */
function countedMemory() {
  const buffer = new ArrayBuffer(SIZE);
  const reads = new Array<number>(SIZE).fill(0);
  const writes = new Array<number>(SIZE).fill(0);
  const counted = <T extends Uint8Array | Int32Array>(view: T): T => {
    const width = view.BYTES_PER_ELEMENT;
    const count = (counts: number[], index: number) => {
      for (let i = 0; i < width; i++) counts[view.byteOffset + index * width + i]++;
    };
    return new Proxy(view, {
      get(target, key) {
        if (key === 'subarray')
          return (...range: [number, number]) => counted(target.subarray(...range) as T);
        if (key === 'length') return target.length;
        if (typeof key === 'symbol' || !/^\d+$/.test(key))
          throw new Error(`${String(key)} is not an element`);
        count(reads, Number(key));
        return Reflect.get(target, key);
      },
      set(target, key, value) {
        count(writes, Number(key));
        return Reflect.set(target, key, value);
      },
    });
  };
  const bytes = new Uint8Array(buffer);
  const memory: WordMemory = { bytes: counted(bytes), words: counted(new Int32Array(buffer)) };
  return { bytes, memory, reads, writes };
}

const copy = fc.record({
  place: fc.integer({ min: 0, max: SIZE - 1 }),
  length: fc.integer({ min: 0, max: SIZE }),
  shift: fc.integer({ min: 0, max: 7 }),
  at: fc.integer({ min: 0, max: 7 }),
});

/** Numbers 1.. in a view that starts anywhere in its memory. */
function numbered(shift: number, length: number): Uint8Array {
  return Uint8Array.from({ length: length + shift }, (_, i) => i + 1).subarray(shift);
}

describe('copies by words', () => {
  it('write each byte once, wherever source and place lie, and read nothing back', () => {
    fc.assert(
      fc.property(copy, ({ place, length, shift, at }) => {
        const { bytes, memory, reads, writes } = countedMemory();
        const count = Math.min(length, SIZE - place);
        const source = numbered(shift, at + count);
        const expected = new Uint8Array(SIZE);
        expected.set(source.subarray(at, at + count), place);
        writeWords(memory, place, source, at, count);
        expect(bytes).toEqual(expected);
        expect(writes).toEqual(
          Array.from({ length: SIZE }, (_, i) => Number(i >= place && i < place + count)),
        );
        expect(reads.every((n) => n === 0)).toBe(true);
      }),
    );
  });

  it('read each byte once', () => {
    fc.assert(
      fc.property(copy, ({ place, length, shift, at }) => {
        const { bytes, memory, reads } = countedMemory();
        const count = Math.min(length, SIZE - place);
        bytes.set(numbered(0, SIZE));
        const into = new Uint8Array(shift + at + count + 3).subarray(shift);
        const expected = into.slice();
        expected.set(bytes.subarray(place, place + count), at);
        readWords(memory, place, into, at, count);
        expect(into).toEqual(expected);
        expect(reads).toEqual(
          Array.from({ length: SIZE }, (_, i) => Number(i >= place && i < place + count)),
        );
      }),
    );
  });
});
