import { describe, expect, it } from 'vitest';
import { STEP_COSTS } from '../../../../bench/scheduling/step-cost.js';
import { simulationSuite } from './simulation-suite.js';
import { TIMINGS } from './timings.js';

describe('the core’s cycles of TinyLlama-1.1B in Q3_K_S', () => {
  it.each([
    ['synthesised', 107.5e6, 107.6e6, 1.3],
    ['synthesised, unpack=hls', 127.5e6, 127.6e6, 1.5],
    ['systemc', 34.1e6, 34.2e6, 4.3],
  ] as const)('%s: of a token, and how much cheaper eight sequences make it', (timing, least, most, gain) => {
    const cost = STEP_COSTS[timing];
    expect(cost.cycles(1)).toBeGreaterThan(least);
    expect(cost.cycles(1)).toBeLessThan(most);
    expect((8 * cost.cycles(1)) / cost.cycles(8)).toBeCloseTo(gain, 1);
  });
});

// The other timing: test/long.
describe.each(TIMINGS.filter(({ timing }) => timing === 'synthesised'))(
  'in the $timing timing',
  simulationSuite,
);
