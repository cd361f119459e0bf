import { Command } from 'commander';
import { harmlessJson } from '../../errors/index.js';
import type { FleetBoardReport, FleetVerification } from '../../sdk/index.js';
import { EXIT } from '../exit.js';
import { type DeviceOptions, withDevice, withJson } from '../options.js';
import { printText } from '../output/print.js';
import { formatTable } from '../output/table.js';
import { formatDuration } from '../output/units.js';
import { withFleet } from '../session.js';

interface VerifyFlags extends DeviceOptions {
  readonly json?: boolean;
}

/** `fleet verify`: whether the boards of a fleet are alike. */
export function fleetVerifyCommand(): Command {
  const command = new Command('verify').description(
    'Have every board of a fleet check itself, and compare them: versions, descriptions, models, and a short generation bit for bit. Ends with status 1 where something differs. Needs the role infer.',
  );
  return withJson(withDevice(command), 'one JSON object').action(
    async ({ json, ...options }: VerifyFlags) => {
      const report = await withFleet(options, (board, signal) => board.fleetVerify({ signal }));
      if (report.differences.length > 0 || report.boards.length === 0) process.exitCode = EXIT.failed;
      printText(json ? `${harmlessJson(report)}\n` : describe(report));
    },
  );
}

const COLUMNS = [
  ...['board', 'version', 'platform', 'description', 'models', 'generation'].map((heading) => ({ heading })),
  { heading: 'round trip', right: true },
  { heading: '' },
];

function describe({ boards, differences, gateway }: FleetVerification): string {
  if (boards.length === 0) return 'the fleet has no boards\n';
  const rows = boards.map((board) => {
    const own = differences.filter((one) => one.board === board.name).map(({ what }) => what);
    const verdict = own.length === 0 ? 'as it should be' : `DIFFERS: ${[...new Set(own)].join(', ')}`;
    return [...factsOf(board), verdict];
  });
  const lines = differences.map(
    ({ board, what, found, expected }) => `${board}: ${what}: ${found}; expected ${expected}\n`,
  );
  const alike =
    differences.length === 0
      ? `${boards.length === 1 ? 'the one board is' : `${boards.length} boards are alike, and`} as their gateway ${gateway}\n`
      : '';
  return `${formatTable(COLUMNS, rows)}\n\n${lines.join('')}${alike}`;
}

function factsOf({
  name,
  agent,
  platform,
  description,
  models,
  generations,
  roundTripsMs,
}: FleetBoardReport) {
  const loaded = models.filter(({ state }) => state === 'loaded').length;
  const median = roundTripsMs.toSorted((a, b) => a - b)[Math.floor(roundTripsMs.length / 2)];
  return [
    name,
    agent ?? '',
    platform ?? '',
    description === undefined ? '' : `${description.name} ${description.digest.slice(0, 8)}`,
    `${loaded} of ${models.length}`,
    generations.map(({ digest }) => digest?.slice(0, 12) ?? 'failed').join(', '),
    median === undefined ? '' : formatDuration(median),
  ];
}
