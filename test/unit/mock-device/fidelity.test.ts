import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { DmaBuffer } from '../../../board/board.js';
import type { CoreRevision } from '../../../board/description.js';
import { contents } from '../board/contents.js';
import { bitMismatches, bytesOf, Poker } from './harness.js';

/** Streams on which the SystemC model and an earlier mock differed, with the model's answers. */
const SHARED = '../shared/fidelity';
const WITHOUT_SHARED = !existsSync(SHARED);
const CYCLES_PER_US = 100;

type Step =
  | { readonly op: 'send'; readonly lane: number; readonly words: string }
  | { readonly op: 'run'; readonly t: number }
  | { readonly op: 'arm'; readonly lane: number; readonly cap: number }
  | { readonly op: 'waittx' | 'waitrx'; readonly lane: number; readonly t: number };

interface Stream {
  readonly revision: CoreRevision;
  readonly steps: readonly Step[];
  /** Words that the model sent; corrupted ones where the stream has a hazard. */
  readonly systemc: readonly string[];
}

const files = WITHOUT_SHARED ? [] : readdirSync(SHARED).filter((file) => file.endsWith('.json'));
const number = (hex: string): number => Number.parseInt(hex, 16);

/** Plays a stream. @returns the words that came, and the names of the faults */
function play({ revision, steps }: Stream): { results: Uint32Array; faults: string[] } {
  const poker = new Poker(revision);
  const sending = new Set<number>();
  let room: DmaBuffer | undefined;
  const results: number[] = [];
  for (const step of steps) {
    if (step.op === 'send') {
      if (sending.has(step.lane)) poker.sent(step.lane);
      sending.add(step.lane);
      poker.send(step.lane, bytesOf(step.words.split(' ').map(number)));
    } else if (step.op === 'run') {
      const until = poker.board.cycles + step.t;
      poker.board.waitUntil(() => poker.board.cycles >= until, (step.t - 0.5) / CYCLES_PER_US);
    } else if (step.op === 'arm') room = poker.arm(step.cap * 4, step.lane);
    else if (step.op === 'waittx') poker.sent(step.lane, step.t / CYCLES_PER_US);
    else if (room !== undefined && poker.received(step.t / CYCLES_PER_US, step.lane)) {
      room.giveToCpu();
      results.push(...new Uint32Array(contents(room, 0, poker.read(step.lane, 'S2MM_LENGTH')).buffer));
    }
  }
  const faults = poker.board.takeFaults().map(({ name }) => name);
  return { results: Uint32Array.from(results), faults };
}

describe.skipIf(WITHOUT_SHARED)(
  `streams of ${SHARED}, which is ${WITHOUT_SHARED ? 'absent' : 'there'}`,
  () => {
    it.each(files)('%s is answered as the model answers it, or its hazard is named', (file) => {
      const stream: Stream = JSON.parse(readFileSync(join(SHARED, file), 'utf8'));
      const { results, faults } = play(stream);
      if (file.includes('hazard')) {
        expect(faults).toContain('hazard');
        expect(results).toHaveLength(0);
        return;
      }
      expect(faults).toEqual([]);
      expect(bitMismatches(results, Uint32Array.from(stream.systemc.map(number)))).toBe(0);
      expect(results).toHaveLength(stream.systemc.length);
    });
  },
);

const ONE = 0x3f80_0000;
const HALF_ONE = 0x3c00;
const WORDS = { 2: 21, 3: 28, 4: 36, 5: 44, 6: 53 } as const;

/** Small numbers that look like nothing, the same in every run. */
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 16;
  };
}

/** A block of a type whose d is 1, whose dmin is 0 and whose other bytes are noise. */
function block(type: 2 | 3 | 4 | 6, seed: number): Uint8Array {
  const next = noise(seed);
  const bytes = Uint8Array.from({ length: WORDS[type] * 4 }, () => next() & 255);
  const d = { 2: 20, 3: 27, 4: 0, 6: 52 }[type];
  new DataView(bytes.buffer).setUint32(d * 4, HALF_ONE, true);
  return bytes;
}

/** Quants of the one input block; its scale is 1. */
const quants = Int8Array.from({ length: 256 }, (_, i) => ((i * 37) % 41) - 20);
const inputs = [ONE, ...new Uint32Array(quants.buffer.slice(0)), ...Array<number>(8).fill(0)];

/** Loads blocks one after the other into block 0, each as its type, and computes as the type `as`. */
function retyped(
  revision: CoreRevision,
  loads: readonly (readonly [2 | 3 | 4 | 6, Uint8Array])[],
  as: number,
): number {
  const poker = new Poker(revision);
  poker.send(0, bytesOf([0x01, 1, ...inputs]));
  poker.sent(0);
  for (const [type, bytes] of loads) {
    const words = WORDS[type];
    const lengths = revision === 'v1' ? [] : [words, 0, 0, 0];
    const data = new Uint32Array(bytes.slice().buffer);
    poker.send(0, bytesOf([0x12, 1, 0, 0, type, 1, words, ...lengths, ...data]));
    poker.sent(0);
  }
  const room = poker.arm(4);
  poker.send(0, bytesOf([0x14, 1, 0, 0, as, 0, 0, 1, 1]));
  expect(poker.received()).toBe(true);
  expect(poker.board.takeFaults()).toEqual([]);
  room.giveToCpu();
  return new DataView(contents(room).buffer).getFloat32(0, true);
}

function product(weight: (i: number) => number, scale: (group: number) => number): number {
  let sum = 0;
  for (let i = 0; i < 256; i++) sum += weight(i) * quants[i] * scale(i >> 4);
  return Math.fround(sum);
}

/** Byte of a field of four 2-bit values a byte that has weight i, and where in it: GGUF's order. */
const byteOf = (i: number): number => (i >> 7) * 32 + (i & 31);
const twoBits = (bytes: Uint8Array, at: number, i: number): number =>
  (bytes[at + byteOf(i)] >> (2 * ((i >> 5) & 3))) & 3;
/** The same where the core reads the bytes' values one after the other. */
const inOrder = (bytes: Uint8Array, at: number, i: number): number =>
  (bytes[at + (i >> 2)] >> (2 * (i & 3))) & 3;
/** Low four bits of Q6_K's and Q4_K's weight i. */
const lowOfQ6 = (bytes: Uint8Array, i: number): number =>
  (bytes[(i >> 7) * 64 + (i & 63)] >> (4 * ((i >> 6) & 1))) & 15;
const lowOfQ4 = (bytes: Uint8Array, i: number): number =>
  (bytes[16 + (i >> 6) * 32 + (i & 31)] >> (4 * ((i >> 5) & 1))) & 15;

describe('fields that types share', () => {
  const q6 = block(6, 6);
  const q4 = block(4, 4);
  const q2 = block(2, 2);
  const q3 = block(3, 3);

  it('plane 0 has bits 4-5 of Q6_K: computed as Q2_K', () => {
    const expected = product(
      (i) => twoBits(q6, 128, i),
      (group) => q6[192 + group] & 15,
    );
    expect(retyped('v3', [[6, q6]], 2)).toBe(expected);
    expect(retyped('v1', [[6, q6]], 2)).toBe(expected);
  });

  it('plane 1 has bits 0-1 of Q6_K: computed as Q4_K', () => {
    const expected = product(
      (i) => twoBits(q6, 128, i) + 4 * (lowOfQ6(q6, i) & 3),
      (group) => q6[192 + (group >> 1)] & 63,
    );
    expect(retyped('v3', [[6, q6]], 4)).toBe(expected);
  });

  it('plane 2 has bits 2-3 of Q6_K, and Q4_K leaves them: Q6_K, then Q4_K, computed as Q6_K', () => {
    const expected = product(
      (i) => (lowOfQ4(q4, i) >> 2) + 4 * (lowOfQ6(q6, i) >> 2) + 16 * (lowOfQ4(q4, i) & 3) - 32,
      (group) => sixBitsOfQ4(q4, group),
    );
    expect(
      retyped(
        'v3',
        [
          [6, q6],
          [4, q4],
        ],
        6,
      ),
    ).toBe(expected);
  });

  it('on v1 plane 0 has the weights of Q2_K in the order of the bytes, of Q4_K in their own', () => {
    const expected = product(
      (i) => inOrder(q2, 16, i),
      (group) => q2[group >> 1] & 127,
    );
    expect(retyped('v1', [[2, q2]], 4)).toBe(expected);
    expect(retyped('v3', [[2, q2]], 4)).not.toBe(expected);
  });

  it.each([
    ['v1', (group: number) => ((q2[group] & 0xc0) << 24) >> 24],
    ['v3', () => 0],
  ] as const)(
    'on %s a load of Q3_K after Q2_K leaves scale bits 6-7 as they were, or clears them',
    (revision, stale) => {
      const expected = product(
        (i) => 16 * twoBits(q3, 32, i) - 32,
        (group) => stale(group) + sixBitsOfQ3(q3, group),
      );
      expect(
        retyped(
          revision,
          [
            [2, q2],
            [3, q3],
          ],
          6,
        ),
      ).toBe(expected);
    },
  );
});

/** Scales of Q4_K as the core holds them: 8, then 8 minima. */
function sixBitsOfQ4(bytes: Uint8Array, at: number): number {
  const scales = bytes.subarray(4, 16);
  const i = at & 3;
  const isMinimum = at >= 8;
  if ((at & 4) === 0) return scales[(isMinimum ? 4 : 0) + i] & 63;
  const high = scales[(isMinimum ? 4 : 0) + i] >> 6;
  return ((scales[8 + i] >> (isMinimum ? 4 : 0)) & 15) | (high << 4);
}

function sixBitsOfQ3(bytes: Uint8Array, group: number): number {
  const scales = bytes.subarray(96, 108);
  const low = (scales[group & 7] >> (group < 8 ? 0 : 4)) & 15;
  return low | (((scales[8 + (group & 3)] >> (2 * (group >> 2))) & 3) << 4);
}
