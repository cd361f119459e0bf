import { describe, expect, it } from 'vitest';
import { bytesOf, Poker } from './harness.js';

const WEIGHT_LOAD = 13;
const INPUT_LOAD = 14;
const zeros = (count: number): number[] => Array<number>(count).fill(0);
const config = (type: number): number[] => [0x10, 1, 0, 0, type];
const inputs = (blocks: number): number[] => [0x01, blocks, ...zeros(73 * blocks)];
const COMPUTE = [0x04, 0, 0, 1, 1];

/** Cycles until the one result of a stream is there, and what a monitor counted then and 50 cycles on. */
function play(
  revision: 'v1' | 'v3',
  lanes: readonly (readonly number[])[],
  [monitor, state]: readonly [number, number] = [0, 1],
): { result: number; count: number } {
  const poker = new Poker(revision);
  poker.setTarget(monitor, state);
  poker.resetCounters();
  poker.arm(4096);
  const begun = poker.board.cycles;
  // Lane A last: the words of the others wait for its header.
  lanes.forEach((words, lane) => {
    if (lane > 0) poker.send(lane, bytesOf(words));
  });
  poker.send(0, bytesOf(lanes[0]));
  expect(poker.received()).toBe(true);
  const result = poker.board.cycles - begun;
  poker.board.waitUntil(() => false, 0.495);
  return { result, count: poker.count(monitor) };
}

describe('words that have waited', () => {
  it.each([
    [0, 393, 315],
    [20, 413, 262],
    [100, 493, 43],
    [300, 1283, 40],
  ])('behind %i no-ops reach the input loader as in the SystemC model', (noOps, result, count) => {
    const stream = [...config(3), ...zeros(noOps), ...inputs(5), ...COMPUTE];
    expect(play('v3', [stream], [INPUT_LOAD, 4])).toEqual({ result, count });
  });

  it.each([
    [0, 192, 160],
    [70, 334, 27],
    [300, 1254, 27],
  ])('behind %i no-ops reach the weight loader as in the SystemC model', (noOps, result, count) => {
    const lane = zeros(3 * 53);
    const load = [0x02, 12, 53, ...Array<number>(4).fill(lane.length), ...lane];
    const stream = [...config(6), ...zeros(noOps), ...load, ...COMPUTE];
    expect(play('v3', [stream, lane, lane, lane], [WEIGHT_LOAD, 2])).toEqual({ result, count });
  });

  it.each([
    [0, 187, 247],
    [70, 332, 343],
    [300, 1252, 1263],
  ])('behind %i no-ops reach the loaders of v1 as in the SystemC model', (noOps, weights, loaded) => {
    const load = [0x02, 3, 53, ...zeros(3 * 53)];
    expect(play('v1', [[...config(6), ...zeros(noOps), ...load, ...COMPUTE]]).result).toBe(weights);
    expect(play('v1', [[...config(6), ...zeros(noOps), ...inputs(3), ...COMPUTE]]).result).toBe(loaded);
  });

  it('on lane A, for those of another lane, reach the weight loader as in the SystemC model', () => {
    const poker = new Poker('v3');
    poker.setTarget(WEIGHT_LOAD, 2);
    poker.resetCounters();
    const begun = poker.board.cycles;
    poker.arm(4096);
    poker.send(0, bytesOf([...config(4), 0x02, 13, 36, 144, 108, 108, 108, ...zeros(144), ...COMPUTE]));
    poker.send(1, bytesOf(zeros(41)));
    for (const lane of [2, 3]) poker.send(lane, bytesOf(zeros(108)));
    poker.board.waitUntil(() => false, 2.495);
    poker.sent(1);
    poker.send(1, bytesOf(zeros(67)));
    expect(poker.received()).toBe(true);
    expect(poker.board.cycles - begun).toBe(339);
    expect(poker.count(WEIGHT_LOAD)).toBe(312);
  });
});
