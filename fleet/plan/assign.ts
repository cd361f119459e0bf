import type { BoardDescription } from '../../board/index.js';
import type { FleetModel } from './fleet-model.js';
import { planPipeline, tryPipeline } from './pipeline.js';
import type { PipelinePlan, PlanOptions } from './pipeline-plan.js';

/** How many boards a model is cut over: a number, or no more than it needs to fit. */
export type PipelineMode = number | 'auto';

/** A board that a plan may have. */
export interface FreeBoard {
  readonly name: string;
  readonly description: BoardDescription;
}

/** A plan, and the board of each of its stages. */
export interface Assigned<B extends FreeBoard> {
  readonly plan: PipelinePlan;
  readonly boards: readonly B[];
}

/**
 * Forms pipelines of boards, side by side. With a number each has as many boards; where that leaves none, and `mayBeShort`, one has as
 * many as there are. With `auto` a board that can hold the whole model has it, and of the others each pipeline has as few as the
 * model fits. Boards that are left over have nothing. Pure.
 * @param boards in the order in which they are taken
 * @throws PynqLlmError LLM_CONTEXT_LENGTH, LLM_KV_TYPE; FLEET_PLAN_TOO_MANY_BOARDS, FLEET_PLAN_DOES_NOT_FIT where there are enough boards, and nothing
 *   could be formed of them
 */
export function assignPipelines<B extends FreeBoard>(
  model: FleetModel,
  boards: readonly B[],
  mode: PipelineMode,
  options: PlanOptions,
  mayBeShort = false,
): Assigned<B>[] {
  const attempt = (group: readonly B[]): Assigned<B> | undefined => {
    const plan = tryPipeline(
      model,
      group.map(({ description }) => description),
      options,
    );
    return plan && { plan, boards: boardsOf(plan, group) };
  };
  const layers = model.step.layers.length;
  const found = mode === 'auto' ? fewest(boards, layers, attempt) : groups(boards, mode, attempt);
  if (found.length > 0) return found;
  const enough = mode === 'auto' ? boards.length : Math.min(boards.length, mode);
  if (enough === 0 || (mode !== 'auto' && enough < mode && !mayBeShort)) return [];
  const group = boards.slice(0, mode === 'auto' ? Math.min(enough, layers) : enough);
  // It says why where it cannot be.
  const plan = planPipeline(
    model,
    group.map(({ description }) => description),
    options,
  );
  return [{ plan, boards: boardsOf(plan, group) }];
}

function groups<B>(
  boards: readonly B[],
  size: number,
  attempt: (group: readonly B[]) => Assigned<B & FreeBoard> | undefined,
): Assigned<B & FreeBoard>[] {
  const count = Math.floor(boards.length / size);
  const all = Array.from({ length: count }, (_, i) => attempt(boards.slice(i * size, (i + 1) * size)));
  return all.filter((one) => one !== undefined);
}

function fewest<B>(
  boards: readonly B[],
  layers: number,
  attempt: (group: readonly B[]) => Assigned<B & FreeBoard> | undefined,
): Assigned<B & FreeBoard>[] {
  const whole = boards.map((board) => ({ board, alone: attempt([board]) }));
  const found = whole.flatMap(({ alone }) => alone ?? []);
  let left = whole.flatMap(({ board, alone }) => (alone === undefined ? [board] : []));
  for (let size = 2; size <= Math.min(left.length, layers); ) {
    const one = attempt(left.slice(0, size));
    if (one === undefined) size++;
    else {
      found.push(one);
      left = left.slice(size);
      size = 2;
    }
  }
  return found;
}

/** Boards of the kinds that the stages are for, each once. */
function boardsOf<B extends FreeBoard>({ stages }: PipelinePlan, group: readonly B[]): B[] {
  const left = [...group];
  return stages.map(({ kind }) => {
    const key = JSON.stringify(group[kind]!.description);
    const at = left.findIndex(({ description }) => JSON.stringify(description) === key);
    const [board] = left.splice(at, 1);
    return board!;
  });
}
