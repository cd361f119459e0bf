import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import {
  DEFAULT_MAX_COLUMNS,
  largestPart,
  type MemoryRequest,
  memberPool,
  type TensorCut,
} from '../../llm/index.js';
import { planLinked } from '../links/plan-linked.js';
import type { PlannedStage, PlanRecord } from '../pipeline/plan-record.js';
import type { FleetModel } from '../plan/fleet-model.js';
import type { FleetBoard } from './boards.js';

/** How a fleet cuts its models by rows. */
export interface TensorMode {
  /** Over how many boards, 2 to 8. */
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

type Planned = Pick<PlanRecord, 'stages' | 'rows' | 'kvPool'>;

/** Cuts a model by rows over these boards. @throws PynqLlmError as planLinked, LLM_KV_TYPE */
export function planRows(
  model: FleetModel,
  boards: readonly FleetBoard[],
  request: MemoryRequest,
  { isForced }: TensorMode,
  roundTrips: RoundTrips,
): Planned {
  const linked = boards.map(({ name, record: { info, links } }) => ({
    name,
    description: info.description,
    links,
  }));
  const roundTripMs = roundTrips.of(boards.map(({ owner }) => owner)) ?? UNKNOWN_MS;
  const plan = planLinked(model, linked, { roundTripMs, request, isForced });
  const cut: TensorCut = {
    shares: plan.boards.map(({ share }) => share),
    attended: plan.attended,
    inner: plan.inner,
  };
  const { maxColumns = DEFAULT_MAX_COLUMNS, kvType = 'f16' } = request;
  const largest = (columns: number) => largestPart(cut, model.memory.headDim, columns);
  const stages = plan.boards.map(({ memory: { kvBytes, working } }, i): PlannedStage => {
    const { name: board, owner } = boards[i]!;
    return { board, owner, from: 0, to: model.memory.layers, kvBytes, working };
  });
  const kvBytes = stages.map((stage) => stage.kvBytes);
  return {
    // The one with the engine is the last one of a plan, and the first one of a cut.
    stages: [...stages.slice(1), stages[0]!],
    rows: {
      cut,
      links: linked.map(({ links }) => links!),
      laneBytes: Math.max(largest(1), Math.min(largest(maxColumns), MESSAGE_BYTES)),
    },
    kvPool: memberPool(cut, model.memory, kvType, kvBytes),
  };
}

/** Forms as many groups of boards as there are boards for. @throws PynqLlmError as planRows, where none could be formed */
export function assignRows(
  model: FleetModel,
  boards: readonly FleetBoard[],
  request: MemoryRequest,
  mode: TensorMode,
  roundTrips: RoundTrips,
): Planned[] {
  const found: Planned[] = [];
  // Those that have none come last, where they are told of.
  const hasNone = ({ record }: FleetBoard) => (record.links === undefined ? 1 : 0);
  const inOrder = boards.toSorted((a, b) => hasNone(a) - hasNone(b));
  let refusal: unknown;
  for (let first = 0; first + mode.boards <= boards.length; first += mode.boards)
    try {
      found.push(planRows(model, inOrder.slice(first, first + mode.boards), request, mode, roundTrips));
    } catch (error) {
      if (!isPynqLlmError(error)) throw error;
      refusal ??= error;
    }
  if (found.length === 0 && refusal instanceof PynqLlmError) throw refusal;
  return found;
}
