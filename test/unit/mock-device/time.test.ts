import { describe, expect, it } from 'vitest';
import { bytesOf, Poker, readVector, runMatMul } from './harness.js';

const STORE_UNIT = 2;
const COMPUTE = 12;
const CLOCK_MHZ = 100;
const vector = readVector('public_q3_00_gauss_small_M64_N1_K256.bin');

describe('simulated time', () => {
  it('stands still but for waiting, and a wait in vain takes exactly its timeout', () => {
    const poker = new Poker('v3');
    const before = poker.board.now();
    poker.send(0, bytesOf([0, 0]));
    poker.status();
    expect(poker.board.now()).toBe(before);
    expect(poker.board.waitUntil(() => false, 1_000_000)).toBe(false);
    expect(poker.board.now() - before).toBeCloseTo(1_000_000, 6);
  });

  it('runs at the clock of the description', () => {
    const poker = new Poker('v3', { clockHz: 50_000_000 });
    const before = { now: poker.board.now(), cycles: poker.board.cycles };
    poker.board.waitUntil(() => false, 10);
    expect(poker.board.cycles - before.cycles).toBe(500);
    expect(poker.board.now() - before.now).toBe(10);
  });

  it('passes for real when asked to', () => {
    const poker = new Poker('v3', {}, { realTime: true });
    const started = performance.now();
    poker.board.waitUntil(() => false, 30_000);
    expect(performance.now() - started).toBeGreaterThanOrEqual(29);
  });

  it('stops at the first cycle at which a status register shows what is waited for', () => {
    const poker = new Poker('v3');
    const before = poker.board.cycles;
    poker.send(0, bytesOf([0x10, 1, 2, 3, 4]));
    expect(poker.board.waitUntil(() => poker.status()[0] === 3, 10)).toBe(true);
    // The opcode is read two cycles after the start and decoded for one; the control unit is in state 3 for six.
    expect(poker.board.cycles - before).toBe(2 + 1);
    expect(poker.board.waitUntil(() => poker.status()[0] === 1, 10)).toBe(true);
    expect(poker.board.cycles - before).toBe(2 + 1 + 6 + 1);
  });

  it('asks a driver again when a LENGTH that it looks at has changed', () => {
    const poker = new Poker('v3');
    poker.arm(64);
    poker.send(0, bytesOf([0x10, 0, 1, 1, 3, 0x04, 1, 1, 1, 1]));
    const before = poker.board.cycles;
    const received = () => {
      poker.read(1, 'MM2S_DMASR');
      return poker.read(0, 'S2MM_LENGTH') === 4;
    };
    expect(poker.board.waitUntil(received, 1000)).toBe(true);
    expect(poker.board.cycles - before).toBeLessThan(100);
  });

  it('does not ask a driver again for what it does not look at', () => {
    const poker = new Poker('v3');
    for (const lane of [1, 2, 3]) poker.send(lane, bytesOf([0]));
    poker.send(0, bytesOf([0, 0, 0]));
    let asked = 0;
    poker.board.waitUntil(() => {
      asked++;
      return (poker.read(0, 'MM2S_DMASR') & 2) !== 0;
    }, 1000);
    expect(asked).toBe(2);
  });
});

describe('hardware counters', () => {
  it('do not count from zero before their first reset', () => {
    expect(new Poker('v3').count(STORE_UNIT)).not.toBe(0);
  });

  it('count the cycles in the target state from the reset on', () => {
    const poker = new Poker('v3');
    poker.setTarget(STORE_UNIT, 1);
    poker.resetCounters();
    poker.board.waitUntil(() => false, 5);
    expect(poker.count(STORE_UNIT)).toBe(5 * CLOCK_MHZ);
  });

  it('stay at zero while the reset is held', () => {
    const poker = new Poker('v3');
    poker.setTarget(STORE_UNIT, 1);
    poker.board.window('hwc').write32(poker.counters.reset, 1);
    poker.board.waitUntil(() => false, 5);
    expect(poker.count(STORE_UNIT)).toBe(0);
    poker.board.window('hwc').write32(poker.counters.reset, 0);
    poker.board.waitUntil(() => false, 1);
    expect(poker.count(STORE_UNIT)).toBe(CLOCK_MHZ);
  });

  it('go on from their count when the target changes', () => {
    const poker = new Poker('v3');
    poker.setTarget(STORE_UNIT, 1);
    poker.resetCounters();
    poker.board.waitUntil(() => false, 2);
    poker.setTarget(STORE_UNIT, 7);
    poker.board.waitUntil(() => false, 3);
    poker.setTarget(STORE_UNIT, 1);
    poker.board.waitUntil(() => false, 4);
    expect(poker.count(STORE_UNIT)).toBe(6 * CLOCK_MHZ);
  });

  it('wrap at 2^32', () => {
    const poker = new Poker('v3');
    poker.setTarget(STORE_UNIT, 1);
    poker.resetCounters();
    poker.board.waitUntil(() => false, (2 ** 32 + 700) / CLOCK_MHZ);
    expect(poker.count(STORE_UNIT)).toBe(700);
  });

  it('show a count in the middle of a computation, and the state', () => {
    const poker = new Poker('v3');
    runMatMul(poker, vector, false);
    poker.setTarget(COMPUTE, 2);
    poker.resetCounters();
    poker.arm(256);
    poker.send(0, bytesOf([0x04, 64, 1, 64, 1]));
    poker.board.waitUntil(() => false, 40 / CLOCK_MHZ);
    // The opcode is read after two cycles, its last operand after four more; the computation begins seven later.
    expect(poker.count(COMPUTE)).toBe(40 - 2 - 4 - 7);
    expect(poker.board.window('hwc').read32(poker.counters.registers[COMPUTE].state)).toBe(2);
    expect(poker.received()).toBe(true);
    expect(poker.count(COMPUTE)).toBe(64);
  });
});
