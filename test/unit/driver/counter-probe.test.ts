import { describe, expect, it } from 'vitest';
import type { Board, RegisterWindow } from '../../../board/board.js';
import type { BoardDescription } from '../../../board/description.js';
import { loadBoardDescription } from '../../../board/description-file.js';
import { counterMap } from '../../../board/registers/index.js';
import { Accelerator } from '../../../driver/accelerator.js';
import { openMockBoard } from '../../../mock-device/index.js';
import { golden, load, multiply } from './golden.js';

const boards = {
  before: loadBoardDescription('kv260'),
  v3: loadBoardDescription('kv260-2026-v3'),
  v4: loadBoardDescription('kv260-2026-v4'),
  v1: loadBoardDescription('pynq-z1-v1'),
};
type Name = keyof typeof boards;

interface Access {
  readonly write: boolean;
  readonly offset: number;
  readonly value: number;
}

/** A mock of one design that the driver is told is another, with every access to its counters noted. */
function disguised(
  real: BoardDescription,
  description: BoardDescription,
  answer: (offset: number, value: number) => number = (_, value) => value,
) {
  const board = openMockBoard(real);
  const accesses: Access[] = [];
  const hwc = (inner: RegisterWindow): RegisterWindow => ({
    name: inner.name,
    base: inner.base,
    size: inner.size,
    read32: (offset) => {
      const value = answer(offset, inner.read32(offset));
      accesses.push({ write: false, offset, value });
      return value;
    },
    write32: (offset, value) => {
      accesses.push({ write: true, offset, value });
      inner.write32(offset, value);
    },
  });
  const shown: Board = {
    description,
    window: (name) => (name === 'hwc' ? hwc(board.window(name)) : board.window(name)),
    allocate: (bytes, options) => board.allocate(bytes, options),
    dmaMemory: () => board.dmaMemory(),
    waitUntil: (done, timeoutUs) => board.waitUntil(done, timeoutUs),
    now: () => board.now(),
    takeFaults: () => board.takeFaults(),
    resetLogic: () => board.resetLogic(),
    close: () => board.close(),
  };
  return { board, shown, accesses };
}

describe('the layout of the counters is asked before they are used', () => {
  it.each([
    ['before', 15, 'weight-load'],
    ['v3', 13, 'compute'],
    ['v4', 14, 'softmax-unit'],
  ] as const)('and used where it is as described: %s', (name, count, monitor) => {
    const { shown, accesses } = disguised(boards[name], boards[name]);
    const accelerator = new Accelerator(shown);
    const { reset } = counterMap(boards[name]);
    const probing = accesses.slice(
      0,
      accesses.findIndex(({ value, write }) => write && value !== 0x5a && value !== 0),
    );
    expect(probing.filter(({ value }) => value % 2 !== 0)).toEqual([]);
    expect(probing.length).toBeGreaterThanOrEqual(3);
    expect(accesses.slice(-2)).toEqual([
      { write: true, offset: reset, value: 1 },
      { write: true, offset: reset, value: 0 },
    ]);
    expect(accelerator.counters.list()).toHaveLength(count);
    expect(accelerator.counters.list().map((one) => one.name)).toContain(monitor);
    const before = accesses.length;
    accelerator.reset();
    expect(accesses.slice(before).some(({ write }) => !write)).toBe(false);
  });

  it('and gives the right cycles in each', () => {
    const vector = golden('q3_01');
    const counts = (['before', 'v3', 'v4'] as const).map((name) => {
      const accelerator = new Accelerator(openMockBoard(boards[name]));
      const program = load(accelerator, vector, 'staged');
      accelerator.counters.reset();
      expect(multiply(accelerator, program, vector)).toEqual(vector.expected);
      return accelerator.counters.readOne('compute');
    });
    expect(counts).toEqual([130 * 8, 130 * 8, 130 * 8]);
  });

  it.each<[Name, Name, RegExp]>([
    [
      'v3',
      'before',
      /with the counters of v3 before 2026 \(15 monitors.*answers as v3 of 2026 \(13 monitors/,
    ],
    ['v4', 'before', /v3 before 2026.*answers as v4 of 2026 \(14 monitors, the reset behind them\)/],
    ['before', 'v3', /v3 of 2026.*answers as v3 before 2026 \(15 monitors, the reset before them\)/],
    ['before', 'v4', /v4 of 2026.*answers as v3 before 2026/],
    ['v4', 'v3', /v3 of 2026.*answers as v4 of 2026/],
    ['v3', 'v4', /v4 of 2026.*answers as v3 of 2026/],
  ])('a %s design described as %s is refused, with its targets as they were', (real, told, message) => {
    const { board, shown } = disguised(boards[real], boards[told]);
    const { registers } = counterMap(boards[real]);
    for (const [i, { target }] of registers.entries()) board.window('hwc').write32(target, i + 3);
    const free = board.dmaMemory().free;
    const open = () => new Accelerator(shown);
    expect(open).toThrow(/DRIVER_COUNTERS_MISMATCH/);
    expect(open).toThrow(message);
    expect(open).toThrow(/Name the description of the bitstream that is loaded/);
    expect(registers.map(({ target }) => board.window('hwc').read32(target))).toEqual(
      registers.map((_, i) => i + 3),
    );
    expect(board.dmaMemory().free).toBe(free);
  });

  it.each([
    [0x14, 0x1234],
    [0x14, 0xffff_ffff],
    [0x14c, 0x5b],
  ])('a design whose register 0x%x answers 0x%x is refused as unknown', (at, answer) => {
    const { shown, accesses } = disguised(boards.v4, boards.v4, (offset, value) =>
      offset === at && value === 0x5a ? answer : value,
    );
    expect(() => new Accelerator(shown)).toThrow(
      new RegExp(
        `DRIVER_COUNTERS_UNKNOWN.*0x${at.toString(16)}.*reads 0x${answer.toString(16)}.*without counters`,
      ),
    );
    expect(accesses.filter(({ write, value }) => write && value % 2 !== 0)).toEqual([]);
  });

  it('asks nothing of v1, and nothing where no counters are described', () => {
    const v1 = disguised(boards.v1, boards.v1);
    expect(new Accelerator(v1.shown).counters.list()).toHaveLength(5);
    expect(v1.accesses.some(({ write }) => !write)).toBe(false);
    const { hwc: _, ...windows } = boards.v3.windows;
    const without = disguised(boards.v4, { ...boards.v3, windows });
    expect(() => new Accelerator(without.shown).counters).toThrow('DRIVER_NO_COUNTERS');
    expect(without.accesses).toEqual([]);
  });
});
