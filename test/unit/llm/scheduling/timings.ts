import { STEP_COSTS } from '../../../../bench/scheduling/step-cost.js';
import type { SchedulingLimits } from '../../../../llm/scheduling/index.js';
import { DEFAULT_LIMITS } from '../../../../llm/scheduling/index.js';

/**
 * The core's timings, each with a pace that makes a load as heavy for it: a second of the SystemC model's is `slower`
 * seconds. Prompts decide it: they gain least from what a step shares.
 */
export const TIMINGS = (['synthesised', 'systemc'] as const).map((timing) => {
  const cost = STEP_COSTS[timing];
  return { timing, cost, slower: cost.ms(64, 1) / STEP_COSTS.systemc.ms(64, 1) };
});

export type Timing = (typeof TIMINGS)[number];

/** The times of the policy at the pace of the load. */
export function pacedLimits({ slower }: Timing): SchedulingLimits {
  const { maxWaitMs, batchPatienceMs, batchTurnMs, agingMs } = DEFAULT_LIMITS;
  return {
    ...DEFAULT_LIMITS,
    maxWaitMs: { interactive: maxWaitMs.interactive * slower, batch: maxWaitMs.batch * slower },
    batchPatienceMs: batchPatienceMs * slower,
    batchTurnMs: batchTurnMs * slower,
    agingMs: agingMs * slower,
  };
}
