import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../board/description-file.js';
import { Accelerator } from '../../../driver/accelerator.js';
import { openMockBoard } from '../../../mock-device/index.js';
import { boardWith, failureOf, golden, load, multiply } from './golden.js';

const v3 = loadBoardDescription('kv260-2026-v3');

/** A core of the SystemC model's timing, of which the driver is told that it is the synthesised one. */
function misdescribed() {
  return boardWith(openMockBoard({ ...v3, timing: 'systemc' }), { description: v3 });
}

describe('cycles that are checked after each MatMul', () => {
  it.each(['synthesised', 'systemc'] as const)('are what the core counts in the %s timing', (timing) => {
    const accelerator = new Accelerator(openMockBoard({ ...v3, timing }), { checkCycles: true });
    for (const name of ['q3_01', 'q3_15', 'q6_03']) {
      const vector = golden(name);
      for (const placement of ['resident', 'staged'] as const)
        expect(multiply(accelerator, load(accelerator, vector, placement), vector)).toEqual(vector.expected);
    }
  });

  it('end a MatMul of a core that takes others, with the numbers, and its next one too', () => {
    const accelerator = new Accelerator(misdescribed(), { checkCycles: true });
    const vector = golden('q3_01');
    const program = load(accelerator, vector, 'resident');
    for (let i = 0; i < 2; i++) {
      const error = failureOf(() => multiply(accelerator, program, vector));
      expect(error.code).toBe('DRIVER_COMPUTE_CYCLES');
      expect(error.context).toMatchObject({ cycles: 130 * 8, expected: 130 * (16 * 8 + 30) + 2 });
    }
  });

  it('are left alone while the counter counts another state', () => {
    const accelerator = new Accelerator(misdescribed(), { checkCycles: true });
    accelerator.counters.setTargets({ compute: 'end' });
    const vector = golden('q3_01');
    expect(multiply(accelerator, load(accelerator, vector, 'resident'), vector)).toEqual(vector.expected);
  });

  it('are refused where no monitor counts them', () => {
    const v1 = openMockBoard(loadBoardDescription('pynq-z1-v1'));
    expect(failureOf(() => new Accelerator(v1, { checkCycles: true })).code).toBe('DRIVER_NO_COUNTERS');
  });
});
