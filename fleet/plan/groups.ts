import type { BoardDescription } from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { LayerRange, MemoryRequest } from '../../llm/index.js';
import { stepCost } from '../exact-types.js';
import type { FleetModel } from './fleet-model.js';
import type { Link } from './link.js';
import { kindsOf, partition } from './partition.js';
import { tooManyBoards } from './refusal.js';
import { computeTensor, planTensor, type TensorPlan } from './tensor.js';

/** Sequences that go through a stage together, as on a board with a whole model. */
const STAGE_COLUMNS = 8;

export interface GroupsOptions {
  /** Columns of a step, all of which want logits; 8 unless given, and 1 where one group has all layers: one stream. */
  readonly columns?: number | undefined;
  /** Between the boards of a group. */
  readonly linkOf: (group: number) => Link;
  readonly request?: MemoryRequest | undefined;
  /** Plans it also where one board of a group alone would be faster. */
  readonly isForced?: boolean | undefined;
}

/** Layers on a group of boards, each with some rows of every matrix. Plain data. */
export interface GroupStage {
  /** Its place among the groups that were given. */
  readonly group: number;
  /** Layers from..to-1. */
  readonly from: number;
  readonly to: number;
  readonly hasOutput: boolean;
  readonly rows: TensorPlan;
}

/** A model cut by layers over groups of boards, and by rows within each. Plain data. */
export interface GroupsPlan {
  readonly model: string;
  readonly columns: number;
  readonly stages: readonly GroupStage[];
  /** The slowest stage's time: a step ends as often, with as many micro-batches as stages. */
  readonly stepMs: number;
  /** A step on the fastest of the boards, were all of the model resident there, and how many times faster steps follow each other. */
  readonly aloneMs: number;
  readonly gain: number;
  /** Tokens of keys and values that every board has room for. */
  readonly kvTokens: number;
}

type Group = readonly BoardDescription[];

/**
 * Cuts a model by layers over groups of boards, balanced by what a step takes each with its links, and the layers of each by rows over
 * its boards: the bits of one board. Pure.
 * @param groups each of 2 to 8 boards; their order does not matter
 * @throws PynqLlmError FLEET_PLAN_TOO_MANY_BOARDS, FLEET_TENSOR_UNSUPPORTED, FLEET_TENSOR_DOES_NOT_FIT, FLEET_TENSOR_DOES_NOT_PAY, LLM_CONTEXT_LENGTH
 */
export function planGroups(model: FleetModel, groups: readonly Group[], options: GroupsOptions): GroupsPlan {
  const { columns = groups.length === 1 ? 1 : STAGE_COLUMNS, linkOf, request, isForced } = options;
  const layers = model.step.layers.length;
  if (groups.length < 1 || groups.length > layers) throw tooManyBoards(model.name, groups.length, layers);
  const all = { group: 0, from: 0, to: layers };
  const ranges = groups.length === 1 ? [all] : rangesOf(model, groups, { ...options, columns });
  const stages = ranges.map(({ group, ...own }): GroupStage => {
    const range = groups.length === 1 ? undefined : own;
    const link = linkOf(group);
    const rows = planTensor(model, groups[group]!, { columns, link, request, range, isForced });
    return { group, ...own, hasOutput: own.to === layers, rows };
  });
  const stepMs = Math.max(...stages.map(({ rows }) => rows.stepMs));
  const aloneMs = Math.min(...groups.flat().map((board) => stepCost(model.step, board).ms(columns)));
  const room = stages.flatMap(({ rows }) => rows.boards.map(({ memory }) => memory.kvTokens));
  return {
    model: model.name,
    columns,
    stages,
    stepMs,
    aloneMs,
    gain: aloneMs / stepMs,
    kvTokens: Math.min(...room),
  };
}

/** Which layers each group has, in the order of the layers. @throws PynqLlmError as {@link planGroups}, but for what pays */
function rangesOf(
  model: FleetModel,
  groups: readonly Group[],
  { columns, linkOf, request }: GroupsOptions,
): (LayerRange & { readonly group: number })[] {
  const layers = model.step.layers.length;
  const linked = groups.map((boards, i) => ({ boards, link: nearly(linkOf(i)) }));
  const kinds = kindsOf(linked).map(({ board: kind, count }) => {
    const planned = (from: number, to: number) =>
      computeTensor(model, kind.boards, { columns, link: kind.link, request, range: { from, to } });
    const holds = (from: number, to: number) =>
      planned(from, to).boards.every(({ memory }) => memory.short === undefined);
    // A layer begins when the one before is over on all boards.
    const ends = [0];
    // What fits, its parts do too: how far it gets from a layer is no less far than from the one before.
    const reach: number[] = [];
    for (let from = 0, to = 0; from < layers; from++) {
      ends.push(ends[from]! + planned(from, from + 1).stepMs);
      to = Math.max(from, to);
      while (to < layers && holds(from, to + 1)) to++;
      reach.push(to);
    }
    return { board: { kind, ends, reach }, count };
  });
  const cut = partition(
    layers,
    kinds,
    ({ ends }, from, to) => ends[to]! - ends[from]!,
    ({ reach }, from, to) => to <= reach[from]!,
  );
  if (cut === undefined) throw doesNotFit(model, groups);
  const left = new Set(groups.keys());
  return cut.map(({ board, from, to }) => {
    const group = [...left].find((i) => JSON.stringify(linked[i]) === JSON.stringify(board.kind))!;
    left.delete(group);
    return { group, from, to };
  });
}

/** Where links differ by less than a fifth, as each does from itself when it is measured, boards are of one kind: each kind takes time. */
function nearly({ roundTripMs, ...rest }: Link): Link {
  return { ...rest, roundTripMs: 2 ** (Math.round(4 * Math.log2(roundTripMs)) / 4) };
}

function doesNotFit(model: FleetModel, groups: readonly Group[]): PynqLlmError {
  const boards = groups.flat().length;
  return new PynqLlmError(
    'FLEET_TENSOR_DOES_NOT_FIT',
    `${model.name} does not fit ${boards} boards in ${groups.length} groups with everything resident.`,
    { context: { model: model.name, boards: groups.flat().map(({ name }) => name) } },
  );
}
