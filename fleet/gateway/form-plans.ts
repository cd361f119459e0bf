import { kvShapeOfStage, memberKvShape, type PoolShape, stagePool } from '../../llm/index.js';
import { boardsOf, type PlannedStage } from '../pipeline/plan-record.js';
import { assignPipelines, type PipelineMode } from '../plan/assign.js';
import type { FleetModel } from '../plan/fleet-model.js';
import type { FleetBoard } from './boards.js';
import { assignGroups, groupsOf, planStages, type RoundTrips, type TensorMode } from './group-plans.js';

/** How models are cut over boards. */
export interface CutMode {
  /** Over how many stages by layers. */
  readonly stages: PipelineMode;
  /** Where each stage is cut by rows. */
  readonly tensor: TensorMode | undefined;
}

/** How a model is to be loaded, as far as plans depend on it. */
export interface CutRequest {
  readonly contextLength: number | undefined;
  readonly kvType: 'f16' | 'int8';
  readonly kvBytes: number | undefined;
  readonly maxColumns: number;
}

/** The boards that a plan has; with `auto` stages the fewest that it could have. */
export function boardsOfPlan({ stages, tensor }: CutMode): number {
  return (stages === 'auto' ? 1 : stages) * (tensor?.boards ?? 1);
}

/**
 * Plans of a gateway before may not be as they are wanted now. For lack of boards one may have fewer stages, or smaller groups.
 * @returns why a plan cannot stay
 */
export function cutOtherwise(stages: readonly PlannedStage[], mode: CutMode): string | undefined {
  const boards = boardsIn(stages);
  const hasRows = stages.some(({ rows }) => rows !== undefined);
  const otherwise = 'it is to be cut otherwise';
  if (boards > 1 && hasRows !== (mode.tensor !== undefined)) return otherwise;
  const least = boardsOfPlan(mode);
  if (boards < least) return undefined;
  if (mode.stages !== 'auto' && boards > least) return `${least} boards are to have it`;
  if (mode.stages !== 'auto' && stages.length !== mode.stages) return otherwise;
  const isOther =
    mode.tensor !== undefined && stages.some((stage) => stage.boards.length !== mode.tensor!.boards);
  return isOther ? otherwise : undefined;
}

/**
 * Whether a plan that was made while boards lacked is to make room for one of as many as there should be.
 * @param plans of the model @param free boards that none of them has
 */
export function mayGrow(
  stages: readonly PlannedStage[],
  plans: readonly (readonly PlannedStage[])[],
  free: number,
  mode: CutMode,
): boolean {
  const asked = boardsOfPlan(mode);
  // A gateway before may have left several.
  const short = plans.map(boardsIn).filter((boards) => boards < asked);
  return boardsIn(stages) < asked && short.reduce((sum, boards) => sum + boards, free) >= asked;
}

function boardsIn(stages: readonly PlannedStage[]): number {
  return boardsOf({ stages }).length;
}

/** What plans of rows depend on besides the boards. */
export interface RowFacts {
  readonly roundTrips: RoundTrips;
  /** Owners of boards that compute other models together, each group in its order. */
  readonly together: readonly (readonly string[])[];
}

/**
 * Forms plans of a model from boards that have none of it, as many as there are boards for.
 * @param mayBeShort whether one plan may have fewer boards than it should
 * @returns the stages of each
 * @throws PynqLlmError as assignPipelines and assignGroups, where there were enough boards
 */
export function formPlans(
  model: FleetModel,
  boards: readonly FleetBoard[],
  request: CutRequest,
  mode: CutMode,
  mayBeShort: boolean,
  { roundTrips, together }: RowFacts,
): PlannedStage[][] {
  const { stages, tensor } = mode;
  const least = boardsOfPlan(mode);
  if (tensor !== undefined) {
    const groups = groupsOf(boards, tensor.boards, together);
    if (boards.length >= least) return assignGroups(model, groups, stages, request, tensor, roundTrips);
    // Boards that compute another model together may be fewer than those that are free.
    for (let size = Math.min(tensor.boards, boards.length); mayBeShort && size > 1; size--) {
      const few = groupsOf(boards, size, together);
      if (few.length > 0) return [planStages(model, few, request, tensor, roundTrips)];
    }
  }
  // Where there is no group, one board alone has all of it.
  const able = tensor === undefined ? boards : boards.slice(0, 1);
  const others = able.map((board) => ({ ...board, description: board.record.info.description }));
  const asked = tensor === undefined ? stages : least;
  return assignPipelines(model, others, asked, { request }, mayBeShort).map((one) =>
    one.plan.stages.map(({ from, to, memory: { kvBytes, working } }, i): PlannedStage => {
      const { name: board, owner } = one.boards[i]!;
      return { from, to, boards: [{ board, owner, kvBytes, working }] };
    }),
  );
}

/** The pages that the boards of a plan have in common, each of its layers and heads. @throws PynqLlmError LLM_KV_TYPE */
export function poolOf(
  { memory }: FleetModel,
  stages: readonly PlannedStage[],
  kvType: 'f16' | 'int8',
): PoolShape {
  const parts = stages.flatMap((stage) => {
    const shape = kvShapeOfStage(memory, stage);
    return stage.boards.map(({ kvBytes }, member) => {
      const share = stage.rows?.cut.shares[member];
      return { shape: share === undefined ? shape : memberKvShape(shape, share), bytes: kvBytes };
    });
  });
  return stagePool(parts, kvType);
}
