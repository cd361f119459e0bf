import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../board/description-file.js';
import { Accelerator } from '../../../driver/accelerator.js';
import { cyclesBetween } from '../../../driver/counters.js';
import { openMockBoard } from '../../../mock-device/index.js';
import { golden, load, multiply } from './golden.js';

const z1 = { ...loadBoardDescription('pynq-z1'), timing: 'systemc' } as const;

function open(description = z1) {
  const accelerator = new Accelerator(openMockBoard(description));
  const cycles = () =>
    Object.fromEntries(accelerator.counters.read().map(({ monitor, cycles }) => [monitor, cycles]));
  return { accelerator, counters: accelerator.counters, cycles };
}

describe('the hardware counters', () => {
  it('show where the time of a MatMul goes, without being set up', () => {
    const { accelerator, counters, cycles } = open();
    const vector = golden('q3_01');
    const program = load(accelerator, vector, 'staged');
    counters.reset();
    multiply(accelerator, program, vector);
    const total = accelerator.traffic.coreCycles;
    expect(cycles()).toMatchObject({
      compute: 130 * 8,
      'store-unit': total,
      'input-load': 64 * 8 - 2,
      scheduler: 4,
    });
  });

  it('count the state that they are set to by name or number, without losing the count', () => {
    const { accelerator, counters, cycles } = open();
    const vector = golden('q3_01');
    const program = load(accelerator, vector, 'staged');
    counters.reset();
    multiply(accelerator, program, vector);
    counters.setTargets({ scheduler: 32, compute: 'end' });
    multiply(accelerator, program, vector);
    expect(cycles()).toMatchObject({ scheduler: 4 + 4, compute: 130 * 8 + 2 });
    expect(counters.read().find(({ monitor }) => monitor === 'scheduler')).toMatchObject({
      state: 'acknowledge',
    });
    counters.reset();
    expect(new Set(Object.values(cycles()))).toEqual(new Set([0]));
  });

  it('know the states of their units', () => {
    const { counters } = open();
    expect(counters.readStates().find(({ monitor }) => monitor === 'weight-transfer-c')).toEqual({
      monitor: 'weight-transfer-c',
      state: 'before-first-load',
      stateNumber: 0,
    });
    expect(counters.list()).toHaveLength(15);
  });

  it('refuse monitors and states that the core does not have', () => {
    const { counters } = open();
    expect(() => counters.setTargets({ 'weight-transfer': 1 })).toThrow(
      /DRIVER_UNKNOWN_COUNTER.*no monitor "weight-transfer"/,
    );
    expect(() => counters.setTargets({ compute: 'dreaming' })).toThrow(
      /compute has no state "dreaming"; it has idle \(1\)/,
    );
    expect(() => counters.setTargets({ compute: -1 })).toThrow(/DRIVER_UNKNOWN_COUNTER/);
  });

  it('wrap at 32 bits', () => {
    expect(cyclesBetween(0xffff_fff0, 0x10)).toBe(0x20);
    expect(cyclesBetween(5, 5)).toBe(0);
    expect(cyclesBetween(0, 0xffff_ffff)).toBe(0xffff_ffff);
  });

  it('are refused where the design has none', () => {
    const { hwc: _, ...windows } = z1.windows;
    const accelerator = new Accelerator(openMockBoard({ ...z1, windows }));
    expect(() => accelerator.counters).toThrow(/DRIVER_NO_COUNTERS.*no hwc window/);
    const vector = golden('q3_00');
    expect(multiply(accelerator, load(accelerator, vector, 'resident'), vector)).toEqual(vector.expected);
  });
});
