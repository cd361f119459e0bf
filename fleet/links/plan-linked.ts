import type { BoardDescription } from '../../board/index.js';
import { PynqLlmError } from '../../errors/index.js';
import type { MemoryRequest } from '../../llm/index.js';
import type { FleetModel } from '../plan/fleet-model.js';
import { type GroupsPlan, planGroups } from '../plan/groups.js';
import { DEFAULT_LINK } from '../plan/link.js';
import type { LinkAddress } from './link-port.js';

/** A member that may have links. */
export interface LinkedBoard {
  readonly name: string;
  readonly description: BoardDescription;
  /** Where its links are, if it has any. */
  readonly links: LinkAddress | undefined;
}

/**
 * Cuts a model over groups of boards that have links, by layers over the groups and by rows within each, where the round trips that
 * were measured let it pay. Pure.
 * @param options.roundTripOf of the boards of a group, in milliseconds, as `PlanLinks.roundTripMs` measures it
 * @param options.bytesPerSecond of a board's port; that of a gigabit port as a Zynq drives it unless given
 * @throws PynqLlmError FLEET_LINKS_OFF; as planGroups
 */
export function planLinked(
  model: FleetModel,
  groups: readonly (readonly LinkedBoard[])[],
  {
    roundTripOf,
    bytesPerSecond = DEFAULT_LINK.bytesPerSecond,
    request,
    isForced,
  }: {
    readonly roundTripOf: (group: number) => number;
    readonly bytesPerSecond?: number | undefined;
    readonly request?: MemoryRequest | undefined;
    /** Also where it does not pay. */
    readonly isForced?: boolean | undefined;
  },
): GroupsPlan {
  const without = groups
    .flat()
    .filter(({ links }) => links === undefined)
    .map(({ name }) => name);
  if (without.length > 0)
    throw new PynqLlmError(
      'FLEET_LINKS_OFF',
      `${model.name} cannot be cut by rows: ${without.join(', ')} ${without.length === 1 ? 'has' : 'have'} no links, over which boards exchange results in every layer.`,
      { context: { model: model.name, boards: without } },
    );
  return planGroups(
    model,
    groups.map((group) => group.map(({ description }) => description)),
    { linkOf: (group) => ({ bytesPerSecond, roundTripMs: roundTripOf(group) }), request, isForced },
  );
}
