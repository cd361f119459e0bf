import { describe, expect, it } from 'vitest';
import { DMASR } from '../../../board/registers/axi-dma.js';
import { FAULTS, type FaultSwitch } from '../../../mock-device/index.js';
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

const vector = readVector('public_q3_00_gauss_small_M64_N1_K256.bin');
const { type, kb, rows, columns, inputs, weights } = vector;
const SCHEDULER = 3;
const INPUTS = concat(bytesOf([0x11, kb, rows, columns, type, kb * columns]), inputs);
const COMPUTE = bytesOf([0x04, rows * kb, columns * kb, rows, columns]);

interface Outcome {
  readonly inTime: boolean;
  readonly faults: readonly string[];
  readonly receiver: number;
  readonly length: number;
  readonly status: readonly number[];
}

/** One MatMul in transfers as staged weights have them; `change` may spoil lane A's words of the tile. */
function multiply(
  poker: Poker,
  change: (words: Uint8Array) => Uint8Array = (words) => words,
): Outcome & { bits: Uint32Array } {
  const streams = laneWords(type, weights, poker.board.description.dma.lanes);
  const out = poker.arm(rows * columns * 4);
  poker.send(0, INPUTS);
  poker.sent(0, 1000);
  for (const [lane, stream] of streams.entries()) if (lane > 0) poker.send(lane, stream);
  poker.send(
    0,
    change(concat(bytesOf(loadWeightsHeader(poker.revision, type, streams, rows * kb)), streams[0], COMPUTE)),
  );
  const inTime = poker.received(10_000);
  const outcome = {
    inTime,
    faults: poker.board.takeFaults().map(({ name }) => name),
    receiver: poker.read(0, 'S2MM_DMASR'),
    length: poker.read(0, 'S2MM_LENGTH'),
    status: poker.status(),
  };
  out.giveToCpu();
  return { ...outcome, bits: new Uint32Array(contents(out).buffer) };
}

function expectRecovery(poker: Poker): void {
  poker.board.takeFaults();
  poker.board.resetLogic();
  poker.startChannels();
  const { bits, faults } = multiply(poker);
  expect(faults).toEqual([]);
  expect(bitMismatches(bits, vector.results)).toBe(0);
}

describe('a fault that is switched on', () => {
  const shows: readonly [FaultSwitch, (outcome: Outcome) => void][] = [
    [
      { name: 'dma-never-completes', channel: 's2mm' },
      ({ receiver }) => expect(receiver & DMASR.IDLE).toBe(0),
    ],
    [{ name: 'dma-never-completes', lane: 2 }, ({ status }) => expect(status.slice(0, 2)).toEqual([4, 4])],
    [
      { name: 'dma-decode-error', channel: 's2mm' },
      ({ receiver }) => expect(receiver & DMASR.DECODE_ERROR).not.toBe(0),
    ],
    [
      { name: 'dma-slave-error', channel: 's2mm' },
      ({ receiver }) => expect(receiver & DMASR.SLAVE_ERROR).not.toBe(0),
    ],
    [
      { name: 'dma-internal-error', channel: 's2mm' },
      ({ receiver }) => expect(receiver & DMASR.INTERNAL_ERROR).not.toBe(0),
    ],
    [{ name: 'no-tlast' }, ({ receiver }) => expect(receiver & (DMASR.IDLE | DMASR.HALTED)).toBe(0)],
    [{ name: 'result-long' }, ({ receiver }) => expect(receiver & DMASR.INTERNAL_ERROR).not.toBe(0)],
    [{ name: 'core-stuck' }, ({ status }) => expect(status[SCHEDULER]).toBe(31)],
    [{ name: 'stream-desynchronised' }, ({ status }) => expect(status.slice(0, 2)).toEqual([4, 4])],
    [{ name: 'capacity-exceeded' }, ({ status }) => expect(status.slice(0, 2)).toEqual([4, 4])],
    [{ name: 'stale-cache', channel: 's2mm' }, ({ receiver }) => expect(receiver & DMASR.IDLE).toBe(0)],
  ];

  it.each(shows)('%o is named, looks like the hardware would, and is over after a reset', (fault, check) => {
    const poker = new Poker('v3', {}, { faults: [fault] });
    const outcome = multiply(poker);
    expect(outcome.inTime).toBe(false);
    expect(outcome.faults).toContain(fault.name);
    check(outcome);
    expectRecovery(poker);
  });

  it('result-short ends the packet a word early', () => {
    const poker = new Poker('v3', {}, { faults: [{ name: 'result-short' }] });
    const { inTime, length, faults } = multiply(poker);
    expect({ inTime, length, faults }).toEqual({
      inTime: true,
      length: rows * columns * 4 - 4,
      faults: ['result-short'],
    });
    expectRecovery(poker);
  });

  it('bus-error throws at the access', () => {
    const poker = new Poker('v3');
    poker.board.injectFault({ name: 'bus-error', after: 1 });
    poker.read(0, 'MM2S_DMASR');
    expect(() => poker.read(0, 'MM2S_DMASR')).toThrow('DRIVER_BUS_ERROR');
    poker.read(0, 'MM2S_DMASR');
    expect(poker.board.takeFaults().map(({ name }) => name)).toEqual(['bus-error']);
  });

  it('hazard stops the core with the results outstanding', () => {
    const poker = new Poker('v3', {}, { faults: [{ name: 'hazard' }] });
    const { inTime, faults } = multiply(poker);
    expect({ inTime, faults }).toEqual({ inTime: false, faults: ['hazard'] });
    expectRecovery(poker);
  });

  it('lets as many opportunities pass and shows as often as it was told', () => {
    const poker = new Poker('v3');
    poker.board.injectFault({ name: 'result-short', after: 1, count: 2 });
    const lengths = Array.from({ length: 4 }, () => multiply(poker).length);
    expect(lengths).toEqual([256, 252, 252, 256]);
  });

  it('every so often of real time takes turns, and what was missed meanwhile comes once', () => {
    let now = 0;
    const faults = [{ name: 'result-short' }, { name: 'hazard' }] as const;
    const poker = new Poker('v3', {}, { faults, faultEveryMs: 1_000, realNow: () => now });
    const seen = [999, 1_000, 1_999, 2_000, 5_500, 5_900].map((at) => {
      now = at;
      const { faults: shown } = multiply(poker);
      poker.board.resetLogic();
      poker.startChannels();
      // A hang ends as a buffer that was handed back too early.
      poker.board.takeFaults();
      return shown;
    });
    expect(seen).toEqual([[], ['result-short'], [], ['hazard'], ['result-short'], []]);
  });

  it.each([{ name: 'no-such-fault' }, { name: 'no-tlast', count: -1 }, { name: 'no-tlast', after: 0.5 }])(
    '%o is refused',
    (fault) => {
      const { board } = new Poker('v3');
      expect(() => board.injectFault(JSON.parse(JSON.stringify(fault)))).toThrow('MOCK_UNKNOWN_FAULT');
    },
  );

  it('has a description and says what its switch counts', () => {
    for (const { at, effect } of Object.values(FAULTS)) {
      expect(at).toMatch(/^(DMA transfer|result packet|COMPUTE|LOAD_WGT|register access)$/);
      expect(effect.length).toBeGreaterThan(20);
    }
  });
});

describe('an ill-formed stream', () => {
  const word = (words: Uint8Array, index: number, value: number): Uint8Array => {
    const changed = words.slice();
    changed.set(bytesOf([value]), index * 4);
    return changed;
  };

  it.each([
    ['v3', 'wrong lengths of a lane', 'core-stuck', (words: Uint8Array) => word(words, 4, 447)],
    ['v1', 'wrong words per block', 'core-stuck', (words: Uint8Array) => word(words, 2, 27)],
    ['v3', 'too many weight blocks', 'capacity-exceeded', (words: Uint8Array) => word(words, 1, 1025)],
    [
      'v3',
      'too many rows',
      'capacity-exceeded',
      (words: Uint8Array) => word(words, words.length / 4 - 2, 1025),
    ],
    [
      'v3',
      'too many columns',
      'capacity-exceeded',
      (words: Uint8Array) => word(words, words.length / 4 - 1, 513),
    ],
    ['v3', 'too few words', 'stream-desynchronised', (words: Uint8Array) => words.subarray(0, 7 * 4 + 100)],
    [
      'v3',
      'an operand that never comes',
      'stream-desynchronised',
      (words: Uint8Array) => words.subarray(0, words.length - 4),
    ],
    ['v3', 'no LOAD_WGT for the words on lanes B to D', 'stream-desynchronised', () => bytesOf([0])],
    [
      'v3',
      'a load right behind a COMPUTE',
      'hazard',
      (words: Uint8Array) => concat(words, bytesOf([0x01, 1]), inputs),
    ],
    [
      'v3',
      'another type right behind a COMPUTE',
      'hazard',
      (words: Uint8Array) => concat(words, bytesOf([0, 0x10, 1, 1, 1, 2])),
    ],
  ] as const)('on %s with %s ends in the fault %s', (revision, _, fault, change) => {
    const poker = new Poker(revision);
    const { inTime, faults } = multiply(poker, change);
    expect({ inTime, faults }).toEqual({ inTime: false, faults: [fault] });
    expectRecovery(poker);
  });

  it.each([
    ['no rows', 1, 0, 1],
    ['no columns, more rows than the core holds', 1, 1025, 0],
    ['kb = 0', 0, 1, 1],
  ])(
    'with a load right behind a COMPUTE of %s is well formed: nothing reads what it loads',
    (_, kb, m, n) => {
      const poker = new Poker('v3');
      const room = poker.arm(64);
      const input = Array<number>(73).fill(0);
      poker.send(0, bytesOf([0x14, kb, 1, 1, 3, 0, 0, m, n, 0x01, 1, ...input]));
      poker.board.waitUntil(() => false, 100);
      expect(poker.board.takeFaults()).toEqual([]);
      expect(poker.status()).toEqual([1, 1, 1, 1, 0, 0, 0, 0]);
      expect(poker.received(1)).toBe(kb === 0);
      room.free();
      poker.board.close();
    },
  );

  it('with too many input blocks ends in the fault capacity-exceeded', () => {
    const poker = new Poker('v1');
    poker.send(0, bytesOf([0x11, 1, 1, 1, 3, 513]));
    poker.board.waitUntil(() => false, 100);
    expect(poker.board.takeFaults().map(({ name }) => name)).toEqual(['capacity-exceeded']);
    expect(poker.status().slice(0, 2)).toEqual([4, 3]);
    expectRecovery(poker);
  });

  it('of a type that the bitstream lacks leaves the scheduler in state 31', () => {
    const poker = new Poker('v3', { weightTypes: [2] });
    const { inTime, faults, status } = multiply(poker);
    expect({ inTime, faults }).toEqual({ inTime: false, faults: ['core-stuck'] });
    expect(status[SCHEDULER]).toBe(31);
  });

  it('whose results are longer than LENGTH raises the internal error', () => {
    const poker = new Poker('v3');
    poker.arm(8);
    poker.send(0, bytesOf([0x14, 0, 0, 0, 3, 0, 0, 3, 1]));
    expect(poker.received(100)).toBe(false);
    expect(poker.read(0, 'S2MM_DMASR') & (DMASR.INTERNAL_ERROR | DMASR.HALTED)).toBe(
      DMASR.INTERNAL_ERROR | DMASR.HALTED,
    );
    expect(poker.board.takeFaults().map(({ name }) => name)).toEqual(['result-long']);
  });

  it('that was cut by a DMA reset takes the next words for data, until the logic is reset', () => {
    const poker = new Poker('v3');
    poker.send(0, INPUTS.subarray(0, 100));
    poker.sent(0);
    poker.startChannels();
    const { inTime, faults } = multiply(poker);
    expect({ inTime, faults }).toEqual({ inTime: false, faults: ['stream-desynchronised'] });
    expectRecovery(poker);
  });

  it('holds its results until a transfer takes them', () => {
    const poker = new Poker('v3');
    poker.send(0, bytesOf([0x14, 0, 0, 0, 3, 0, 0, 2, 1]));
    poker.board.waitUntil(() => false, 100);
    const out = poker.arm(8);
    expect(poker.received(100)).toBe(true);
    out.giveToCpu();
    expect(contents(out)).toEqual(new Uint8Array(8));
    expect(poker.board.takeFaults()).toEqual([]);
  });
});
