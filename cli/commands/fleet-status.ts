import { Command } from 'commander';
import { harmless, harmlessJson } from '../../errors/index.js';
import type { FleetPlanStatus, FleetStatus } from '../../sdk/index.js';
import { type DeviceOptions, withDevice, withJson } from '../options.js';
import { printText } from '../output/print.js';
import { formatFacts, formatTable } from '../output/table.js';
import { withFleet } from '../session.js';

const PLAN_COLUMNS = ['plan', 'model', 'state', 'stages'].map((heading) => ({ heading }));
const COLUMNS = ['board', 'is', 'state', 'requests', 'models'].map((heading) => ({ heading }));

interface StatusFlags extends DeviceOptions {
  readonly json?: boolean;
}

/** `fleet status`: the boards of a fleet at this moment. */
export function fleetStatusCommand(): Command {
  const command = new Command('status').description(
    'Show the boards of a fleet: what they have loaded, and how many requests they have.',
  );
  return withJson(withDevice(command), 'one JSON object').action(
    async ({ json, ...options }: StatusFlags) => {
      const status = await withFleet(options, (fleet) => fleet.fleetStatus());
      if (json) return printText(`${harmlessJson(status)}\n`);
      printText(`${describe(status)}\n`);
    },
  );
}

function describe(status: FleetStatus): string {
  const { boards, waiting, tokens, redelivered, moved, diverged } = status;
  const rows = boards.map(({ name, title, state, contested, inHand, places, models }) => [
    name,
    title,
    contested ? `${state}, and another board has its key` : state,
    `${inHand} of ${places}`,
    models.map(({ model, state: how }) => `${model.slice(0, 12)} ${how}`).join(', '),
  ]);
  const failures = boards.flatMap(({ name, models }) =>
    models.flatMap(({ model, error }) =>
      error === undefined ? [] : [harmless(`${name} could not load ${model.slice(0, 12)}: ${error}`)],
    ),
  );
  const plans = (status.plans ?? []).map((plan) => [
    String(plan.number),
    plan.model.slice(0, 12),
    plan.state,
    describeCut(plan),
  ]);
  const counts = formatFacts([
    ['waiting for a board', counted(waiting, 'request')],
    ['given to clients', counted(tokens, 'token')],
    ['went on elsewhere', counted(redelivered, 'request')],
    ['moved', counted(moved, 'request')],
    ['differed between boards', counted(diverged, 'token')],
  ]);
  return [
    rows.length === 0 ? NO_BOARDS : formatTable(COLUMNS, rows),
    ...(failures.length === 0 ? [] : [failures.join('\n')]),
    ...(plans.length === 0 ? [] : [formatTable(PLAN_COLUMNS, plans)]),
    counts,
  ].join('\n\n');
}

const NO_BOARDS =
  'no board is there: one joins when its agent has --fleet with the URL of this gateway’s broker; its log says why where it cannot';

function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}

/** Which boards have which layers, and whether by rows. */
function describeCut({ stages, byRows = false, roundTripMs }: FleetPlanStatus): string {
  const last = stages.at(-1)?.stage ?? 0;
  const parts = Array.from({ length: last + 1 }, (_, i) => {
    const members = stages.filter(({ stage }) => stage === i);
    const names = members.map(({ board }) => board).join(', ');
    const rows = members.length > 1 ? ' by rows' : '';
    const [first] = members;
    const layers = first === undefined || (byRows && last === 0) ? '' : ` ${first.from} to ${first.to - 1}`;
    return `${names}${rows}${layers}`;
  });
  const roundTrip = roundTripMs === undefined ? '' : `, round trip ${roundTripMs.toFixed(2)} ms`;
  return `${parts.join(byRows ? '; ' : ', ')}${roundTrip}`;
}
