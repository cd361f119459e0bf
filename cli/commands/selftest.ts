import { Command, Option } from 'commander';
import { harmlessJson } from '../../errors/index.js';
import type { SoftMaxSummary } from '../../sdk/index.js';
import { EXIT } from '../exit.js';
import { type DeviceOptions, withDevice, withJson } from '../options.js';
import { noteText, printText } from '../output/print.js';
import { formatFacts } from '../output/table.js';
import { formatDuration } from '../output/units.js';
import { packageFile } from '../package-files.js';
import { withBoard } from '../session.js';

interface SelftestOptions extends DeviceOptions {
  readonly vectors: string;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

/** `selftest`: golden vectors, word streams and counter tables through the driver of any device. */
export function selftestCommand(): Command {
  const command = new Command('selftest')
    .description(
      'Check a core to the bit: every golden MatMul (staged and resident), counter table and word stream for its revision, ' +
        'and SOFT_MAX of revision v4 to 1e-6. ' +
        'Ends with status 3 on any mismatch. Revision v1 on the mock: --device mock:v1.',
    )
    .addOption(
      new Option(
        '--vectors <dir>',
        'folder with *.bin, index.json, counters.json, streams.json, softmax.json',
      ).default(packageFile('vectors'), "the package's own"),
    )
    .option('-v, --verbose', 'name every check, not only those that fail');
  withJson(withDevice(command), 'one JSON object');
  return command.action(async (options: SelftestOptions) => {
    await withBoard(options, async (board, signal) => {
      const started = performance.now();
      const summary = await board.device.selfTest(options.vectors, {
        signal,
        onCheck: (check) => {
          if (check.passed && !options.verbose) return;
          const findings = [...check.details, ...(check.error === undefined ? [] : [check.error])];
          noteText(
            `${check.passed ? 'pass' : 'FAIL'}  ${check.name}\n${findings.map((line) => `      ${line}\n`).join('')}`,
          );
        },
      });
      if (summary.passed !== summary.cases) process.exitCode = EXIT.mismatch;
      if (options.json) return printText(`${harmlessJson(summary)}\n`);
      printText(
        `${formatFacts([
          ['device', `${summary.device} (${board.info.description.title})`],
          [
            'passed',
            `${summary.passed} of ${summary.cases} checks in ${formatDuration(performance.now() - started)}`,
          ],
          ['bit mismatches', String(summary.bitMismatches)],
          ['counter mismatches', String(summary.counterMismatches)],
          ['cycle mismatches', String(summary.cycleMismatches)],
          ...(summary.softMax ? [['SOFT_MAX', softMaxFacts(summary.softMax)] as const] : []),
        ])}\n`,
      );
    });
  });
}

function softMaxFacts({ cases, passed, results, outside, otherBits }: SoftMaxSummary): string {
  return `${passed} of ${cases} checks; of ${results} results ${outside} outside of the tolerance, ${otherBits} within it in other bits`;
}
