import { Command } from 'commander';
import { harmless, harmlessJson } from '../../errors/index.js';
import type { FleetStatus } from '../../sdk/index.js';
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
  const rows = boards.map(({ name, title, state, inHand, places, models }) => [
    name,
    title,
    state,
    `${inHand} of ${places}`,
    models.map(({ model, state: how }) => `${model.slice(0, 12)} ${how}`).join(', '),
  ]);
  const failures = boards.flatMap(({ name, models }) =>
    models.flatMap(({ model, error }) =>
      error === undefined ? [] : [harmless(`${name} could not load ${model.slice(0, 12)}: ${error}`)],
    ),
  );
  const plans = (status.plans ?? []).map(({ number, model, state, byRows, roundTripMs, stages }) => [
    String(number),
    model.slice(0, 12),
    state,
    byRows
      ? `${stages.map(({ board }) => board).join(', ')} by rows${roundTripMs === undefined ? '' : `, round trip ${roundTripMs.toFixed(2)} ms`}`
      : stages.map(({ board, from, to }) => `${board} ${from} to ${to - 1}`).join(', '),
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
