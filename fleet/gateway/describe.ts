import type { FleetBoardStatus, FleetPlanStatus } from '../../protocol/index.js';
import type { Plan } from '../pipeline/plan-record.js';
import { type Boards, type FleetBoard, stageOf } from './boards.js';

/** A board. @param inHand requests that it has @param pages prefix pages that it has said to keep @param isContested whether another one says to be it */
export function describeBoard(
  { name, counts, record }: FleetBoard,
  inHand: number,
  pages: number,
  isContested: boolean,
): FleetBoardStatus {
  const { info, places, isDraining, models, refusedHops } = record;
  return {
    name,
    device: info.device,
    title: info.description.title,
    agent: info.agent,
    state: isDraining ? 'draining' : 'ready',
    places,
    inHand,
    pages,
    refusedHops,
    ...(isContested && { contested: true }),
    ...counts,
    models: models.map((model) => ({
      model: model.digest,
      state: model.state,
      ...(model.state === 'failed' && { error: model.error.message }),
    })),
  };
}

/** A plan, and how far its boards are with it. */
export function describePlan(plan: Plan, boards: Boards): FleetPlanStatus {
  const { number, model, stages } = plan;
  const described = stages.flatMap(({ boards: members, from, to }, stage) =>
    members.map(({ board, owner }) => {
      const there = boards.get(board);
      const isThere = there?.owner === owner;
      const state = isThere ? (stageOf(there.record, number)?.state ?? 'loading') : 'failed';
      return { board, stage, from, to, state };
    }),
  );
  const has = (state: string) => described.some((one) => one.state === state);
  const state = has('failed') ? 'failed' : has('loading') ? 'loading' : 'whole';
  const byRows = stages.some(({ rows }) => rows !== undefined);
  const measured = stages.flatMap(({ boards: [first] }) => {
    const there = boards.get(first!.board);
    return (there && stageOf(there.record, number)?.stage?.roundTripMs) ?? [];
  });
  const roundTripMs = measured.length === 0 ? undefined : Math.max(...measured);
  return { number, model, state, ...(byRows && { byRows, roundTripMs }), stages: described };
}
