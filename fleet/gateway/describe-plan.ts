import type { FleetPlanStatus } from '../../protocol/index.js';
import type { Plan } from '../pipeline/plan-record.js';
import { type Boards, stageOf } from './boards.js';

/** A plan, and how far its boards are with it. */
export function describePlan({ number, model, stages }: Plan, boards: Boards): FleetPlanStatus {
  const described = stages.map(({ board, owner, from, to }) => {
    const there = boards.get(board);
    const isThere = there?.owner === owner;
    const state = isThere ? (stageOf(there.record, number)?.state ?? 'loading') : 'failed';
    return { board, from, to, state };
  });
  const has = (state: string) => described.some((one) => one.state === state);
  const state = has('failed') ? 'failed' : has('loading') ? 'loading' : 'whole';
  return { number, model, state, stages: described };
}
