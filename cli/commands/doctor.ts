import { Command } from 'commander';
import { harmless, harmlessJson } from '../../errors/index.js';
import type { CheckReport, CheckStatus } from '../../sdk/index.js';
import { EXIT } from '../exit.js';
import { type DeviceOptions, withDevice, withJson } from '../options.js';
import { printText } from '../output/print.js';
import { packageFile, packageVersion } from '../package-files.js';
import { withInterrupt } from '../session.js';

interface DoctorOptions extends DeviceOptions {
  readonly touch: boolean;
  readonly json?: boolean;
}

const NAME_WIDTH = 22;
const INDENT = ' '.repeat(8);

/** `doctor`: laptop, connection, board and core, one check after the other. */
export function doctorCommand(): Command {
  const command = new Command('doctor')
    .description(
      'Check laptop, connection, board and core one by one and say what to do about what is wrong. ' +
        'Ends with status 1 if a check fails; warnings do not count.',
    )
    .option('--no-touch', 'leave the core and DMA memory alone: nothing is written to the board');
  withJson(withDevice(command), 'one JSON object {"device","passed","checks"}');
  return command.action(async (options: DoctorOptions) => {
    await withInterrupt(async (signal) => {
      const { examine } = await import('../../sdk/index.js');
      const checks: CheckReport[] = [];
      const examination = examine(options.device, {
        version: packageVersion(),
        vectors: packageFile('vectors'),
        model: packageFile('models', 'tiny-stories-Q3_K_M.gguf'),
        touch: options.touch,
        token: options.token,
        fingerprint: options.tlsFingerprint,
        signal,
      });
      for await (const check of examination) {
        if (!options.json) printText(formatCheck(check, checks.at(-1)?.group));
        checks.push(check);
      }
      const passed = checks.every(({ status }) => status !== 'fail');
      if (!passed) process.exitCode = EXIT.failed;
      printText(
        options.json
          ? `${harmlessJson({ device: options.device, passed, checks })}\n`
          : `\n${summaryOf(checks)}\n`,
      );
    });
  });
}

/** @param before group of the check before; another one gets a heading */
function formatCheck({ group, name, status, detail, fix }: CheckReport, before: string | undefined): string {
  const heading = group === before ? '' : `${before === undefined ? '' : '\n'}${group}\n`;
  const mark = status === 'fail' ? 'FAIL' : status;
  const line = `  ${mark}  ${name.padEnd(NAME_WIDTH)}  ${harmless(detail)}\n`;
  return `${heading}${line}${fix === undefined ? '' : `${INDENT}→ ${harmless(fix)}\n`}`;
}

function summaryOf(checks: readonly CheckReport[]): string {
  const count = (wanted: CheckStatus) => checks.filter(({ status }) => status === wanted).length;
  const warnings = count('warn');
  return `${count('pass')} passed, ${warnings} warning${warnings === 1 ? '' : 's'}, ${count('fail')} failed, ${count('skip')} skipped`;
}
