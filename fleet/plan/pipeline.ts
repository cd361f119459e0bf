import type { BoardDescription } from '../../board/index.js';
import { type StageMemory, type StepCost, type StepShape, stageMemory } from '../../llm/index.js';
import { runningCosts } from '../advice/running-costs.js';
import { EXACT_TYPES, stepCost } from '../exact-types.js';
import type { FleetModel } from './fleet-model.js';
import { matricesOf } from './matrices-of.js';
import { kindsOf, partition } from './partition.js';
import type { PipelinePlan, PlanOptions, StagePlan } from './pipeline-plan.js';
import { refusePipeline, tooManyBoards } from './refusal.js';

/** Columns of the steps that a plan balances: as many sequences as a board runs at a time. */
const COLUMNS = 8;
/** Bytes of the model that are on their way to a member at a time. */
const UPLOADS = 4 * 2 ** 20;

/**
 * Cuts a model by layers over boards: balanced by the cycles that each board's timing predicts, bounded by its memory, everything
 * resident. Pure.
 * @param boards their order does not matter
 * @throws PynqLlmError FLEET_PLAN_TOO_MANY_BOARDS, FLEET_PLAN_DOES_NOT_FIT, LLM_CONTEXT_LENGTH, LLM_KV_TYPE
 */
export function planPipeline(
  model: FleetModel,
  boards: readonly BoardDescription[],
  options: PlanOptions = {},
): PipelinePlan {
  const layers = model.step.layers.length;
  if (boards.length < 1 || boards.length > layers) throw tooManyBoards(model.name, boards.length, layers);
  const plan = tryPipeline(model, boards, options);
  if (plan !== undefined) return plan;
  throw refusePipeline(model, boards, options, (others, changed) => tryPipeline(model, others, changed));
}

/** As {@link planPipeline}. @returns undefined where the model does not fit @throws PynqLlmError LLM_CONTEXT_LENGTH, LLM_KV_TYPE */
export function tryPipeline(
  model: FleetModel,
  boards: readonly BoardDescription[],
  { columns = COLUMNS, logits = columns, request = {} }: PlanOptions,
): PipelinePlan | undefined {
  const costs = new Map<BoardDescription, StepCost>();
  const memories = new Map<string, StageMemory>();
  const kinds = kindsOf(boards);
  const exact = { ...request, coreTypes: EXACT_TYPES } as const;
  const costOf = (board: BoardDescription) => {
    const cost = costs.get(board) ?? stepCost(model.step, board);
    costs.set(board, cost);
    return cost;
  };
  const memoryOf = (board: BoardDescription, from: number, to: number) => {
    const key = `${kinds.findIndex((kind) => kind.board === board)}/${from}/${to}`;
    const memory = memories.get(key) ?? stageMemory(model.memory, { from, to }, board, exact, UPLOADS);
    memories.set(key, memory);
    return memory;
  };
  const isPriced = costOf(kinds[0]!.board).cycles(columns, logits) > 0;
  const stages = partition(
    model.step.layers.length,
    kinds,
    (board, from, to) =>
      isPriced ? costOf(board).ms(columns, logits, { from, to }) : valuesOf(model.step, from, to),
    (board, from, to) => memoryOf(board, from, to).short === undefined,
  );
  if (stages === undefined) return undefined;
  const planned = stages.map(({ board, from, to }): StagePlan => {
    const cycles = costOf(board).cycles(columns, logits, { from, to });
    return {
      board: board.name,
      kind: boards.indexOf(board),
      from,
      to,
      hasOutput: to === model.step.layers.length,
      cycles,
      ms: (cycles / board.clockHz) * 1_000,
      memory: memoryOf(board, from, to),
    };
  });
  const stepMs = Math.max(...planned.map(({ ms }) => ms));
  const aloneMs = Math.min(...kinds.map(({ board }) => costOf(board).ms(columns, logits)));
  return {
    model: model.name,
    columns,
    logits,
    stages: planned,
    stepMs,
    aloneMs,
    gain: isPriced ? aloneMs / stepMs : 1,
    running: runningCosts(boards, stepMs, columns),
    kvTokens: Math.min(...planned.map(({ memory }) => memory.kvTokens)),
  };
}

/** Values of the matrices of layers from..to-1, and the output's: what is balanced where the core takes none of them. */
function valuesOf({ layers, output }: StepShape, from: number, to: number): number {
  const all = [...layers.slice(from, to).flatMap(matricesOf), ...(to === layers.length ? [output] : [])];
  return all.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
}
