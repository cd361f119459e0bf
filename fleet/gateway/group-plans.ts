import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import { DEFAULT_MAX_COLUMNS, largestPart, type MemoryRequest, type TensorCut } from '../../llm/index.js';
import { planLinked } from '../links/plan-linked.js';
import type { PlannedStage } from '../pipeline/plan-record.js';
import type { PipelineMode } from '../plan/assign.js';
import type { FleetModel } from '../plan/fleet-model.js';
import type { FleetBoard } from './boards.js';

/** How a fleet cuts its models by rows. */
export interface TensorMode {
  /** Over how many boards a stage is cut, 2 to 8. */
  readonly boards: number;
  /** Also where the links that were measured do not let it pay. */
  readonly isForced: boolean;
}

/** Before anything is measured a plan is made, so that its boards measure it. */
const UNKNOWN_MS = 0.01;
/** Larger exchanges go in several messages: a lane has two of each member. */
const MESSAGE_BYTES = 256 * 1024;

/** Round trips that boards have told of their links, by who they are. */
export class RoundTrips {
  readonly #known = new Map<string, number>();

  /** @returns whether it was not known before */
  tell(owners: readonly string[], ms: number): boolean {
    const key = keyOf(owners);
    const isNew = !this.#known.has(key);
    this.#known.set(key, ms);
    return isNew;
  }

  of(owners: readonly string[]): number | undefined {
    return this.#known.get(keyOf(owners));
  }

  /** Forgets those of boards that are gone. */
  keep(owners: ReadonlySet<string>): void {
    for (const key of this.#known.keys())
      if (!key.split(',').every((owner) => owners.has(owner))) this.#known.delete(key);
  }
}

function keyOf(owners: readonly string[]): string {
  return owners.toSorted().join();
}

/** Boards in the groups that stages are for, the first of each with the hidden states. */
type Groups = readonly (readonly FleetBoard[])[];

/**
 * Cuts a model over groups of boards: by layers over the groups, and by rows within each.
 * @throws PynqLlmError as planLinked
 */
export function planStages(
  model: FleetModel,
  groups: Groups,
  request: MemoryRequest,
  { isForced }: TensorMode,
  roundTrips: RoundTrips,
): PlannedStage[] {
  const linked = groups.map((group) =>
    group.map(({ name, record: { info, links } }) => ({ name, description: info.description, links })),
  );
  const roundTripOf = (group: number) =>
    roundTrips.of(groups[group]!.map(({ owner }) => owner)) ?? UNKNOWN_MS;
  const { stages } = planLinked(model, linked, { roundTripOf, request, isForced });
  const { maxColumns = DEFAULT_MAX_COLUMNS } = request;
  return stages.map(({ group, from, to, rows }): PlannedStage => {
    const cut: TensorCut = {
      shares: rows.boards.map(({ share }) => share),
      attended: rows.attended,
      inner: rows.inner,
    };
    const largest = (columns: number) => largestPart(cut, model.memory.headDim, columns);
    return {
      from,
      to,
      boards: rows.boards.map(({ memory: { kvBytes, working } }, i) => {
        const { name: board, owner } = groups[group]![i]!;
        return { board, owner, kvBytes, working };
      }),
      rows: {
        cut,
        links: linked[group]!.map(({ links }) => links!),
        laneBytes: Math.max(largest(1), Math.min(largest(maxColumns), MESSAGE_BYTES)),
      },
    };
  });
}

/**
 * Groups of so many boards. Boards that compute another model together are a group here, too, in the same order: where groups had but
 * some of their boards in common, each could wait for results of one that waits for another group.
 * @param together owners of the boards that compute other models together
 */
export function groupsOf(
  boards: readonly FleetBoard[],
  size: number,
  together: readonly (readonly string[])[],
): FleetBoard[][] {
  const byOwner = new Map(boards.map((board) => [board.owner, board]));
  const taken = new Set<string>();
  const groups: FleetBoard[][] = [];
  for (const owners of together) {
    if (owners.some((owner) => taken.has(owner))) continue;
    for (const owner of owners) taken.add(owner);
    const group = owners.flatMap((owner) => byOwner.get(owner) ?? []);
    if (group.length === owners.length && group.length === size) groups.push(group);
  }
  // Those that have no links come last, where they are told of.
  const hasNone = ({ record }: FleetBoard) => (record.links === undefined ? 1 : 0);
  const others = boards.filter(({ owner }) => !taken.has(owner)).sort((a, b) => hasNone(a) - hasNone(b));
  for (let first = 0; first + size <= others.length; first += size)
    groups.push(others.slice(first, first + size));
  return groups;
}

/**
 * Forms as many plans as there are groups for, each of so many of them; with `auto` of as few as the model fits.
 * @returns the stages of each plan
 * @throws PynqLlmError as planStages, where there were enough groups and no plan could be formed
 */
export function assignGroups(
  model: FleetModel,
  groups: Groups,
  stages: PipelineMode,
  request: MemoryRequest,
  mode: TensorMode,
  roundTrips: RoundTrips,
): PlannedStage[][] {
  const found: PlannedStage[][] = [];
  const least = stages === 'auto' ? 1 : stages;
  let left = groups;
  let refusal: unknown;
  for (let count = least; count <= left.length; ) {
    let isFormed = true;
    try {
      found.push(planStages(model, left.slice(0, count), request, mode, roundTrips));
    } catch (error) {
      if (!isPynqLlmError(error)) throw error;
      refusal ??= error;
      isFormed = false;
    }
    // More groups may hold what fewer do not.
    if (!isFormed && stages === 'auto') count++;
    else {
      left = left.slice(count);
      count = least;
    }
  }
  if (found.length === 0 && refusal instanceof PynqLlmError) throw refusal;
  return found;
}
