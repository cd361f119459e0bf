import { describe, expect, it } from 'vitest';
import { CORE_BLOCK_BYTES, type CoreType, multiplyBlockRow } from '../../../gguf/index.js';
import { contents } from '../board/contents.js';
import {
  bitMismatches,
  bytesOf,
  concat,
  laneWords,
  loadWeightsHeader,
  Poker,
  readVector,
} from './harness.js';

const KB = 2;
const vectors = Object.fromEntries(
  ([2, 3, 4, 5, 6] as const).map((type) => [type, readVector(`public_q${type}_07_maxmag_M6_N2_K512.bin`)]),
);
const inputs = vectors[3].inputs;

function config(poker: Poker, type: CoreType): void {
  poker.send(0, bytesOf([0x10, KB, 0, 0, type]));
  poker.sent(0);
}

function loadInputs(poker: Poker): void {
  poker.send(0, concat(bytesOf([0x01, 2 * KB]), inputs));
  poker.sent(0);
}

/** CONFIG of the type and a load of the first `rows` rows of its vector, from block `from` on. */
function loadWeights(poker: Poker, type: CoreType, rows: number, from = 0): Uint8Array {
  config(poker, type);
  const size = CORE_BLOCK_BYTES[type];
  const blocks = vectors[type].weights.subarray(from * size, (from + rows * KB) * size);
  const streams = laneWords(type, blocks, poker.board.description.dma.lanes);
  for (const [lane, stream] of streams.entries()) if (lane > 0) poker.send(lane, stream);
  poker.send(0, concat(bytesOf(loadWeightsHeader(poker.revision, type, streams, rows * KB)), streams[0]));
  for (const lane of streams.keys()) if (streams[lane].length > 0) poker.sent(lane);
  return blocks;
}

function compute(poker: Poker, rows: number): Uint32Array {
  const out = poker.arm(rows * 2 * 4);
  poker.send(0, bytesOf([0x04, 0, 0, rows, 2]));
  expect(poker.received()).toBe(true);
  out.giveToCpu();
  return new Uint32Array(contents(out).buffer);
}

function reference(type: CoreType, blocks: Uint8Array, rows: number): Uint32Array {
  const results = new Float32Array(rows * 2);
  for (let n = 0; n < 2; n++)
    for (let m = 0; m < rows; m++)
      results[n * rows + m] = multiplyBlockRow(
        type,
        blocks,
        m * KB * CORE_BLOCK_BYTES[type],
        inputs,
        n * KB * 292,
        KB,
      );
  return new Uint32Array(results.buffer);
}

describe('what the core keeps', () => {
  it.each(['v1', 'v3'] as const)(
    'on %s gives rows of an earlier load behind those of a later, shorter one',
    (revision) => {
      const poker = new Poker(revision);
      loadInputs(poker);
      const old = loadWeights(poker, 5, 4);
      const fresh = loadWeights(poker, 5, 2, 4);
      const mixed = old.slice();
      mixed.set(fresh);
      expect(bitMismatches(compute(poker, 4), reference(5, mixed, 4))).toBe(0);
    },
  );

  it.each([2, 3, 4, 5, 6] as const)('computes type %i right whatever was loaded before it on v3', (type) => {
    const poker = new Poker('v3');
    loadInputs(poker);
    for (const other of [6, 2, 5, 3, 4] as const) loadWeights(poker, other, 5);
    const blocks = loadWeights(poker, type, 3);
    expect(bitMismatches(compute(poker, 3), reference(type, blocks, 3))).toBe(0);
  });

  it.each([2, 3, 4, 5, 6] as const)(
    'rebuilt from the history of loads gives the same bits as the fast kernel for type %i',
    (type) => {
      const poker = new Poker('v3');
      loadInputs(poker);
      const blocks = loadWeights(poker, type, 4);
      const fast = compute(poker, 4);
      // A load of another type, and then the same fields again through two loads of which neither covers all rows.
      loadWeights(poker, type, 4);
      loadWeights(poker, type, 2);
      expect(compute(poker, 4)).toEqual(fast);
      expect(bitMismatches(fast, reference(type, blocks, 4))).toBe(0);
    },
  );

  it('is zero at power-up', () => {
    const poker = new Poker('v3');
    config(poker, 3);
    expect(compute(poker, 2)).toEqual(new Uint32Array(4));
  });

  it('is lost with a reset of the logic, not with one of the DMA engines', () => {
    const poker = new Poker('v3');
    loadInputs(poker);
    const blocks = loadWeights(poker, 4, 2);
    poker.startChannels();
    expect(bitMismatches(compute(poker, 2), reference(4, blocks, 2))).toBe(0);
    poker.board.resetLogic();
    poker.startChannels();
    config(poker, 4);
    expect(compute(poker, 2)).toEqual(new Uint32Array(4));
  });

  it.each([4, 5] as const)(
    'on v1 spoils the scales of type %i after a load of Q6_K, which v3 does not',
    (type) => {
      const spoilt = new Map(
        (['v1', 'v3'] as const).map((revision) => {
          const poker = new Poker(revision);
          loadInputs(poker);
          const first = loadWeights(poker, type, 3);
          const before = bitMismatches(compute(poker, 3), reference(type, first, 3));
          loadWeights(poker, 6, 3);
          const again = loadWeights(poker, type, 3);
          return [revision, [before, bitMismatches(compute(poker, 3), reference(type, again, 3)) > 0]];
        }),
      );
      expect(Object.fromEntries(spoilt)).toEqual({ v1: [0, true], v3: [0, false] });
    },
  );

  it('takes a load that is split anywhere over transfers', () => {
    const poker = new Poker('v3');
    const { type } = vectors[6];
    const blocks = vectors[6].weights.subarray(0, 4 * KB * 210);
    const streams = laneWords(type, blocks, 4);
    const words = concat(
      bytesOf([0x11, KB, 0, 0, type, 2 * KB]),
      inputs,
      bytesOf(loadWeightsHeader('v3', type, streams, 4 * KB)),
      streams[0],
    );
    const pieces = [4, 8, 2000, 2004, 4700, words.length];
    for (const lane of [1, 2, 3]) poker.send(lane, streams[lane].subarray(0, 40 * lane));
    for (const [i, end] of pieces.entries()) {
      poker.send(0, words.subarray(pieces[i - 1] ?? 0, end));
      poker.sent(0, 100);
    }
    for (const lane of [1, 2, 3]) {
      poker.sent(lane);
      poker.send(lane, streams[lane].subarray(40 * lane));
    }
    expect(bitMismatches(compute(poker, 4), reference(type, blocks, 4))).toBe(0);
    expect(poker.board.takeFaults()).toEqual([]);
  });
});
