import { describe, expect, it } from 'vitest';
import { bytesOf, Poker } from './harness.js';

const CONTROL = 0;
const LOAD = 1;
const SCHEDULER = 3;
const input = Array<number>(73).fill(0);
const config = (kb: number, type = 3): number[] => [0x10, kb, 0, 0, type];
const compute = (rows: number, columns: number): number[] => [0x04, 0, 0, rows, columns];

/** Cycles from the start of a transfer of `words` to the end of each of `packets` packets. */
function packetTimes(poker: Poker, words: readonly number[], packets = 1): number[] {
  let room = poker.arm(4096);
  const begun = poker.board.cycles;
  poker.send(0, bytesOf(words));
  return Array.from({ length: packets }, () => {
    expect(poker.received()).toBe(true);
    room.free();
    const spent = poker.board.cycles - begun;
    room = poker.arm(4096);
    return spent;
  });
}

/** Cycles that a unit spends in each of `states` while `run` is done, on new boards each time. */
function cyclesIn(
  monitor: number,
  states: readonly number[],
  run: (poker: Poker) => void,
  revision: 'v1' | 'v3' = 'v3',
) {
  return states.map((state) => {
    const poker = new Poker(revision);
    poker.setTarget(monitor, state);
    poker.resetCounters();
    run(poker);
    return poker.count(monitor);
  });
}

function pause(poker: Poker, us = 10): void {
  poker.board.waitUntil(() => false, us);
}

/** A core with kb = 1 and a type, otherwise as from power-up. */
function configured(): Poker {
  const poker = new Poker('v3');
  poker.send(0, bytesOf(config(1)));
  pause(poker);
  return poker;
}

describe('cycles as on the SystemC model', () => {
  it('of a no-op: three of decoding and one of ending', () => {
    expect(
      cyclesIn(CONTROL, [2, 6], (poker) => {
        poker.send(0, bytesOf([0]));
        pause(poker);
      }),
    ).toEqual([3, 1]);
  });

  it('of CONFIG alone: six in state 3, of which one waits for a load', () => {
    expect(
      cyclesIn(CONTROL, [2, 3, 6], (poker) => {
        poker.send(0, bytesOf(config(1)));
        pause(poker);
      }),
    ).toEqual([1, 6, 1]);
    expect(
      cyclesIn(CONTROL, [3], (poker) => {
        poker.send(0, bytesOf([0x11, 1, 0, 0, 3, 1, ...input]));
        pause(poker);
      }),
    ).toEqual([5]);
  });

  it('of COMPUTE alone: 4 results of kb = 1 after 21', () => {
    expect(packetTimes(configured(), compute(4, 1))).toEqual([21]);
  });

  it('of COMPUTE behind COMPUTE: the second is issued early and starts when the first is over', () => {
    const [first, second] = packetTimes(configured(), [...compute(4, 1), ...compute(4, 1)], 2);
    expect([first, second]).toEqual([21, 32]);
    const begun = cyclesIn(SCHEDULER, [2, 31, 32, 4], (poker) => {
      packetTimes(poker, [...config(1), ...compute(4, 1), ...compute(4, 1)], 2);
      pause(poker);
    });
    expect(begun).toEqual([1 + 5, 4, 4, 2]);
  });

  it('of kb = 0: the store unit stores a result a cycle', () => {
    expect(packetTimes(new Poker('v3'), [...config(0), ...compute(64, 4)])).toEqual([279]);
  });

  it('of all parts in one opcode: no end and no decoding between them', () => {
    const poker = new Poker('v3');
    const kb = 4;
    const rows = 2;
    const lane = Array<number>(rows * 28).fill(0);
    const room = poker.arm(4096);
    for (const lanes of [1, 2, 3]) poker.send(lanes, bytesOf(lane));
    const begun = poker.board.cycles;
    const load = [rows * kb, 28, ...Array<number>(4).fill(lane.length), ...lane];
    const inputs = [kb, ...Array.from({ length: kb }, () => input).flat()];
    poker.send(0, bytesOf([0x17, kb, 0, 0, 3, ...inputs, ...load, 0, 0, rows, 1]));
    expect(poker.received()).toBe(true);
    // 73 words a block of inputs, the lane's words, the products, and 28 around them.
    expect(poker.board.cycles - begun).toBe(73 * kb + lane.length + rows * kb + 28);
    expect(poker.board.cycles - begun).toBe(384);
    room.free();
  });

  it('of LOAD_INP of no blocks before COMPUTE', () => {
    expect(packetTimes(configured(), [0x01, 0, ...compute(4, 1)])).toEqual([29]);
  });

  it.each([
    // [control unit 3, 4] and [load unit 2, 4] of a tile of 4 blocks: first after inputs, later, after a CONFIG.
    ['v1', 'inputs', [0, 4 * 28 + 1], [2, 4 * 28 - 3]],
    ['v1', 'a tile', [0, 4 * 28 + 3], [2, 4 * 28 - 1]],
    ['v1', 'a CONFIG', [6, 4 * 28 + 2], [2, 4 * 28 - 2]],
    ['v3', 'inputs', [0, 28 + 6], [2, 28 + 2]],
    ['v3', 'a tile', [0, 28 + 8], [3, 28 + 3]],
    ['v3', 'a CONFIG', [6, 28 + 7], [2, 28 + 3]],
  ] as const)('on %s of a tile right after %s', (revision, before, control, load) => {
    const lanes = revision === 'v1' ? 1 : 4;
    const perLane = (4 / lanes) * 28;
    const data = Array<number>(perLane).fill(0);
    const lengths = revision === 'v1' ? [] : Array<number>(4).fill(perLane);
    const tile = (poker: Poker): void => {
      const room = poker.arm(4);
      for (let lane = 1; lane < lanes; lane++) poker.send(lane, bytesOf(data));
      poker.send(0, bytesOf([0x02, 4, 28, ...lengths, ...data, ...compute(1, 1)]));
      expect(poker.received()).toBe(true);
      room.free();
    };
    const prepare = (poker: Poker): void => {
      poker.send(0, bytesOf([0x11, 1, 0, 0, 3, 1, ...input]));
      poker.sent(0);
      if (before === 'inputs') return;
      tile(poker);
      if (before === 'a tile') return;
      poker.send(0, bytesOf(config(1)));
      poker.sent(0);
    };
    const spent = (monitor: number, states: readonly number[]): number[] => {
      const all = cyclesIn(
        monitor,
        states,
        (poker) => {
          prepare(poker);
          tile(poker);
        },
        revision,
      );
      // What was spent before the tile's transfer, up to the CONFIG at hand.
      const earlier = cyclesIn(
        monitor,
        states,
        (poker) => {
          prepareQuietly(poker);
        },
        revision,
      );
      return all.map((cycles, i) => cycles - earlier[i]);
    };
    const prepareQuietly = (poker: Poker): void => {
      poker.send(0, bytesOf([0x11, 1, 0, 0, 3, 1, ...input]));
      poker.sent(0);
      if (before !== 'inputs') tile(poker);
      pause(poker);
    };
    expect(spent(CONTROL, [3, 4])).toEqual(control);
    expect(spent(LOAD, [2, 4])).toEqual(load);
  });

  it('of words that come late: the load waits for them, and ends as long after the last as always', () => {
    const poker = configured();
    const begun = poker.board.cycles;
    poker.send(0, bytesOf([0x01, 1, ...input.slice(0, 70)]));
    poker.board.waitUntil(() => false, 1);
    const late = poker.board.cycles - begun;
    const [spent] = packetTimes(poker, [...input.slice(70), ...compute(1, 1)]);
    expect(poker.board.cycles - begun).toBe(late + spent);
    // The last word is taken after 4 cycles and the load over in 5 more; then COMPUTE: 3 to be read, 7 to start, 1 product,
    // 4 until its result is received.
    expect(spent).toBe(4 + 5 + 3 + 7 + 1 + 4);
  });
});
