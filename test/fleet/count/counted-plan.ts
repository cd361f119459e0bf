import type { Plan } from '../../../fleet/pipeline/plan-record.js';

export const MODEL = '0'.repeat(64);
export const BEFORE = 'before';
export const STAGE = 'counted';
export const BEHIND = 'behind';

/** A plan of three stages, of which the one in the middle is counted. */
export function countedPlan(width: number): Plan {
  const stages = [BEFORE, STAGE, BEHIND].map((board, i) => ({
    from: i,
    to: i + 1,
    boards: [{ board, owner: board, kvBytes: 0, working: { staged: false, resultBytes: 0 } }],
  }));
  const groups = { full: 1, windowed: 0 };
  const kvPool = { frames: 1, groups, window: 0, keptRowFrames: 0, rowFrames: 0 };
  return { model: MODEL, number: 1, stages, settings: {}, kvPool, width, hopMs: 600_000 };
}
