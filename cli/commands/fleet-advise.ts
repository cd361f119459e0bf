import { Argument, Command, Option } from 'commander';
import { harmlessJson, PynqLlmError } from '../../errors/index.js';
import type { FleetAdvice } from '../../sdk/index.js';
import { type DeviceOptions, decimal, wholeNumber, withDevice, withJson } from '../options.js';
import { printText } from '../output/print.js';
import { runningFacts } from '../output/running-facts.js';
import { formatFacts } from '../output/table.js';
import { formatShare } from '../output/units.js';
import { withFleet } from '../session.js';

interface FleetAdviseOptions extends DeviceOptions {
  readonly boards?: number;
  readonly target: number;
  readonly horizon: number;
  readonly json?: boolean;
}

/** `fleet advise`: how many boards a fleet should have, from what it had to do. */
export function fleetAdviseCommand(): Command {
  const command = new Command('advise')
    .description(
      'Say how many boards a fleet should have soon, from what it had to do: by what there is to do now, by how that grows, and by the same time a day and a week ago. Asks the gateway, which writes it down, unless a file is given.',
    )
    .addArgument(
      new Argument('[history]', 'a file with a line {"at","busyBoards"} for each time that was looked'),
    )
    .addOption(new Option('--boards <n>', 'how many there are, with a file').argParser(wholeNumber(1, 1_000)))
    .addOption(
      new Option('--target <share>', 'share of their time for which boards are to be busy')
        .argParser(decimal(0.05, 1))
        .default(0.7),
    )
    .addOption(new Option('--horizon <minutes>', 'how far ahead').argParser(decimal(1, 1_440)).default(60));
  return withJson(
    withDevice(command),
    'one JSON object {"expected","from","boards","wanted","busyShare"}',
  ).action(async (file: string | undefined, options: FleetAdviseOptions) => {
    const { target, horizon, json } = options;
    const advice = await adviceFrom(file, options, { target, horizonMs: horizon * 60_000 });
    if (json) return printText(`${harmlessJson(advice)}\n`);
    const { wanted, expected, from, busyShare, boards, joulesPerToken, pricePerMillion } = advice;
    const change = wanted - boards;
    const what =
      change === 0
        ? `stay with ${boards}`
        : `${change > 0 ? 'add' : 'give up'} ${Math.abs(change)}: ${wanted} boards`;
    printText(
      `${formatFacts([
        ['advice', what],
        ['expected', `${expected.toFixed(2)} boards' worth of work within ${horizon} minutes, by ${from}`],
        ['busy then', `${formatShare(busyShare)} of the time`],
        ...runningFacts({ joulesPerToken, pricePerMillion }),
      ])}\n`,
    );
  });
}

async function adviceFrom(
  file: string | undefined,
  { boards, ...device }: FleetAdviseOptions,
  how: { readonly target: number; readonly horizonMs: number },
): Promise<Omit<FleetAdvice, 'samples'>> {
  if (file === undefined) return withFleet(device, (fleet) => fleet.fleetAdvice(how));
  if (boards === undefined)
    throw new PynqLlmError(
      'CLI_BAD_ARGUMENT',
      'A file says nothing of how many boards there are: add --boards.',
    );
  const { advise, readHistory } = await import('../../fleet/index.js');
  return advise(readHistory(file), { ...how, boards });
}
