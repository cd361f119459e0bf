import { Argument, Command, Option } from 'commander';
import { harmlessJson } from '../../errors/index.js';
import { decimal, wholeNumber, withJson } from '../options.js';
import { printText } from '../output/print.js';
import { formatFacts } from '../output/table.js';
import { formatShare } from '../output/units.js';

interface FleetAdviseOptions {
  readonly boards: number;
  readonly target: number;
  readonly horizon: number;
  readonly json?: boolean;
}

/** `fleet advise`: how many boards a fleet should have, from what it had to do. */
export function fleetAdviseCommand(): Command {
  const command = new Command('advise')
    .description(
      'Say how many boards a fleet should have soon, from what it had to do: by what there is to do now, by how that grows, and by the same time a day and a week ago.',
    )
    .addArgument(
      new Argument('<history>', 'a file with a line {"at","busyBoards"} for each time that was looked'),
    )
    .addOption(
      new Option('--boards <n>', 'how many there are').argParser(wholeNumber(1, 1_000)).makeOptionMandatory(),
    )
    .addOption(
      new Option('--target <share>', 'share of their time for which boards are to be busy')
        .argParser(decimal(0.05, 1))
        .default(0.7),
    )
    .addOption(new Option('--horizon <minutes>', 'how far ahead').argParser(decimal(1, 1_440)).default(60));
  return withJson(command, 'one JSON object {"expected","from","boards","wanted","busyShare"}').action(
    async (file: string, { boards, target, horizon, json }: FleetAdviseOptions) => {
      const { advise, readHistory } = await import('../../fleet/index.js');
      const advice = advise(readHistory(file), { boards, target, horizonMs: horizon * 60_000 });
      if (json) return printText(`${harmlessJson(advice)}\n`);
      const { wanted, expected, from, busyShare } = advice;
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
        ])}\n`,
      );
    },
  );
}
