import type { BoardDescription } from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { MemoryRequest } from '../../llm/index.js';
import type { FleetModel } from '../plan/fleet-model.js';
import { DEFAULT_LINK } from '../plan/link.js';
import { planTensor, type TensorPlan } from '../plan/tensor.js';
import type { LinkAddress } from './link-port.js';

/** A member that may have links. */
export interface LinkedBoard {
  readonly name: string;
  readonly description: BoardDescription;
  /** Where its links are, if it has any. */
  readonly links: LinkAddress | undefined;
}

/**
 * Cuts a model by rows over boards that have links, where the round trip that was measured between them lets it pay. Pure.
 * @param options.roundTripMs as `PlanLinks.roundTripMs` measures it
 * @param options.bytesPerSecond of a board's port; that of a gigabit port as a Zynq drives it unless given
 * @throws PynqLlmError FLEET_LINKS_OFF, FLEET_TENSOR_UNSUPPORTED, FLEET_TENSOR_DOES_NOT_FIT, FLEET_TENSOR_DOES_NOT_PAY
 */
export function planLinked(
  model: FleetModel,
  boards: readonly LinkedBoard[],
  {
    roundTripMs,
    bytesPerSecond = DEFAULT_LINK.bytesPerSecond,
    request,
    isForced,
  }: {
    readonly roundTripMs: number;
    readonly bytesPerSecond?: number | undefined;
    readonly request?: MemoryRequest | undefined;
    /** Also where it does not pay. */
    readonly isForced?: boolean | undefined;
  },
): TensorPlan {
  const without = boards.filter(({ links }) => links === undefined).map(({ name }) => name);
  if (without.length > 0)
    throw new PynqLlmError(
      'FLEET_LINKS_OFF',
      `${model.name} cannot be cut by rows: ${without.join(', ')} ${without.length === 1 ? 'has' : 'have'} no links, over which boards exchange results in every layer.`,
      { context: { model: model.name, boards: without } },
    );
  return planTensor(
    model,
    boards.map(({ description }) => description),
    { link: { bytesPerSecond, roundTripMs }, request, isForced },
  );
}
