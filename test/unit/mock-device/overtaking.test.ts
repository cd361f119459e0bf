import { describe, expect, it } from 'vitest';
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

const vector = readVector('public_q3_16_maxknb_n64_M17_N64_K2048.bin');
const { type, kb, rows, columns, inputs, weights } = vector;
const CONFIG = [0x10, kb, rows, columns, type];
const COMPUTE = [0x04, 0, 0, rows, columns];
const streams = laneWords(type, weights, 4);
const LOAD_HEADER = bytesOf(loadWeightsHeader('v3', type, streams, rows * kb));
const LOAD = concat(LOAD_HEADER, streams[0]);
const FINISHED = { results: 0, faults: [] };

/** Everything loaded; then `words` on lane A, and perhaps a second tile's words on the others. */
function run(words: Uint8Array, { sides = false, later = [] as readonly number[] } = {}) {
  const poker = new Poker('v3');
  poker.send(0, concat(bytesOf([0x11, ...CONFIG.slice(1), kb * columns]), inputs));
  poker.sent(0);
  for (const lane of [1, 2, 3]) poker.send(lane, streams[lane]);
  poker.send(0, LOAD);
  for (const lane of [0, 1, 2, 3]) poker.sent(lane);
  const room = poker.arm(rows * columns * 4);
  if (sides) for (const lane of [1, 2, 3]) poker.send(lane, streams[lane]);
  poker.send(0, words);
  poker.sent(0, 1);
  poker.send(0, bytesOf(later));
  const inTime = poker.received(1_000);
  const faults = poker.board.takeFaults().map(({ name }) => name);
  if (!inTime) return { results: undefined, faults };
  room.giveToCpu();
  return { results: bitMismatches(new Uint32Array(contents(room).buffer), vector.results), faults };
}

const HAZARD = { results: undefined, faults: ['hazard'] };

describe('what overtakes a COMPUTE', () => {
  it.each([
    ['a load', concat(bytesOf(COMPUTE), LOAD)],
    ['a load behind no-ops', concat(bytesOf([...COMPUTE, 0, 8, 0x20]), LOAD)],
    ['a load hidden by a CONFIG of the same type', concat(bytesOf([...COMPUTE, ...CONFIG]), LOAD)],
    ['a load behind a second COMPUTE', concat(bytesOf([...COMPUTE, ...COMPUTE]), LOAD)],
  ])('is a hazard when it is %s, before any packet comes', (_, words) => {
    expect(run(words, { sides: true })).toEqual(HAZARD);
  });

  it('is a hazard when it is a load of inputs', () => {
    expect(run(concat(bytesOf([...COMPUTE, 0x01, kb]), inputs.subarray(0, kb * 292)))).toEqual(HAZARD);
  });

  it('is a hazard when it is another type, also where CONFIG is cut before the type', () => {
    expect(run(bytesOf([...COMPUTE, 0x10, kb, 1, 1, 2]))).toEqual(HAZARD);
    expect(run(bytesOf([...COMPUTE, 0x10, kb]), { later: [1, 1, 2] }).faults).toContain('hazard');
  });

  it.each([
    ['the opcode of a load alone', bytesOf([...COMPUTE, 0x02])],
    ['the header of a load alone', concat(bytesOf(COMPUTE), LOAD_HEADER)],
    ['lane A of a load, the others of which have not come', concat(bytesOf(COMPUTE), LOAD)],
    ['a CONFIG of the same type and another kb', bytesOf([...COMPUTE, 0x10, 1, 1, 1, type])],
    ['a CONFIG cut before the type', bytesOf([...COMPUTE, 0x10, 1])],
  ])('is harmless when it is %s', (_, words) => {
    expect(run(words).results).toBe(FINISHED.results);
    expect(run(words).faults).not.toContain('hazard');
  });

  it('is harmless once the COMPUTE has read everything, before its results are taken', () => {
    const poker = new Poker('v3');
    poker.send(0, bytesOf([...CONFIG.slice(0, 4), type, 0x01, 0, ...COMPUTE]));
    poker.sent(0);
    poker.board.waitUntil(() => false, 1_000);
    poker.send(0, bytesOf([0x10, 1, 1, 1, 2, 0x04, 0, 0, 1, 1]));
    poker.sent(0);
    const first = poker.arm(rows * columns * 4);
    expect(poker.received()).toBe(true);
    first.giveToCpu();
    expect(contents(first)).toEqual(new Uint8Array(first.byteLength));
    poker.arm(4);
    expect(poker.received()).toBe(true);
    expect(poker.board.takeFaults()).toEqual([]);
  });
});

describe('a load that the weight loader cannot follow', () => {
  const ended = (words: Uint8Array) => {
    const poker = new Poker('v3');
    const room = poker.arm(4);
    for (const lane of [1, 2, 3]) poker.send(lane, streams[lane].subarray(0, 28 * 4));
    poker.send(0, words);
    const loaded = [0, 1, 2, 3].map((lane) => poker.sent(lane, 10));
    poker.send(0, bytesOf([0x04, 0, 0, 1, 1]));
    const inTime = poker.received(10);
    const faults = poker.board.takeFaults();
    const state = poker.status()[3];
    room.free();
    return { loaded, inTime, faults: faults.map(({ name }) => name), state };
  };
  const four = streams[0].subarray(0, 28 * 4);
  const load = (wgtType: number, blocks: number) =>
    concat(bytesOf([0x12, 1, 0, 0, wgtType, blocks, 28, 28, 28, 28, 28]), four);

  it.each([
    ['a wrong type', 4],
    ['an unknown type', 9],
  ])('for %s is swallowed, and the COMPUTE hangs', (_, wrong) => {
    expect(ended(load(wrong, 4))).toEqual({
      loaded: [true, true, true, true],
      inTime: false,
      faults: ['core-stuck'],
      state: 31,
    });
  });

  it.each([3, 8])(
    'for its block count, %i instead of 4, is swallowed, and the COMPUTE hangs or not',
    (blocks) => {
      const { loaded, inTime, faults } = ended(load(3, blocks));
      expect(loaded).toEqual([true, true, true, true]);
      // With three blocks only lane D has words too many: they are in the way of the next load.
      expect({ inTime, faults }).toEqual(
        blocks === 3 ? { inTime: true, faults: [] } : { inTime: false, faults: ['core-stuck'] },
      );
    },
  );

  it('is not needed for a COMPUTE of an unknown type to give results that mean nothing', () => {
    const poker = new Poker('v3');
    const room = poker.arm(8);
    poker.send(0, bytesOf([0x14, 1, 0, 0, 9, 0, 0, 2, 1]));
    expect(poker.received()).toBe(true);
    expect(poker.board.takeFaults().map(({ name }) => name)).toEqual(['unknown-type']);
    room.giveToCpu();
    expect([...new Float32Array(contents(room).buffer)]).toEqual([Number.NaN, Number.NaN]);
  });
});
