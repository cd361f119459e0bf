import { Command } from 'commander';
import { harmless, harmlessJson } from '../../errors/index.js';
import type { CheckReport, CheckStatus } from '../../sdk/index.js';
import { type ChosenBoard, chosenBoards, isSeveral } from '../boards/devices.js';
import { onBoards, outcomesByName, worsen } from '../boards/several.js';
import { EXIT } from '../exit.js';
import { type DevicesOptions, withDevices, withJson } from '../options.js';
import { printText } from '../output/print.js';
import { formatTable } from '../output/table.js';
import { packageFile, packageVersion } from '../package-files.js';
import { withInterrupt } from '../session.js';

interface DoctorOptions extends DevicesOptions {
  readonly touch: boolean;
  readonly fleet?: string;
  readonly fleetFingerprint?: string;
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
    .option('--fleet <url>', 'look at this broker from the board; that of its fleet when left out')
    .option('--fleet-fingerprint <sha256>', 'the certificate that the broker has to show; with --fleet')
    .option('--no-touch', 'leave the core and DMA memory alone: nothing is written to the board');
  withJson(
    withDevices(command),
    'one JSON object {"device","passed","checks"}; of several boards one by their names',
  );
  return command.action(async (options: DoctorOptions, self: Command) => {
    const boards = await chosenBoards(options, self);
    return isSeveral(options) ? ofSeveral(boards, options) : ofOne(boards[0]!, options);
  });
}

async function ofOne(board: ChosenBoard, flags: DoctorOptions): Promise<void> {
  const { json } = flags;
  await withInterrupt(async (signal) => {
    const checks: CheckReport[] = [];
    for await (const check of await checksOf(board, flags, signal)) {
      if (!json) printText(formatCheck(check, checks.at(-1)?.group));
      checks.push(check);
    }
    const passed = hasPassed(checks);
    if (!passed) process.exitCode = EXIT.failed;
    printText(
      json ? `${harmlessJson({ device: board.device, passed, checks })}\n` : `\n${summaryOf(checks)}\n`,
    );
  });
}

/** The report of each board in one piece, as soon as it is complete; then all in a table. */
async function ofSeveral(boards: readonly ChosenBoard[], flags: DoctorOptions): Promise<void> {
  const { json } = flags;
  const outcomes = await onBoards(boards, async (board, signal) => {
    const checks: CheckReport[] = [];
    for await (const check of await checksOf(board, flags, signal)) checks.push(check);
    if (!hasPassed(checks)) worsen();
    const lines = checks.map((check, i) => formatCheck(check, checks[i - 1]?.group)).join('');
    if (!json) printText(`== ${board.name}\n${lines}\n`);
    return { device: board.device, passed: hasPassed(checks), checks };
  });
  if (json) return printText(`${harmlessJson(outcomesByName(outcomes))}\n`);
  const rows = outcomes.map((outcome) => {
    const { name } = outcome.board;
    if (!('value' in outcome)) return [name, 'not examined'];
    const { passed, checks } = outcome.value;
    return [name, passed ? 'passed' : 'FAILED', summaryOf(checks)];
  });
  printText(`${formatTable([{ heading: 'board' }, { heading: 'result' }, { heading: 'checks' }], rows)}\n`);
}

async function checksOf(
  { device, token, tlsFingerprint }: ChosenBoard,
  { touch, fleet: url, fleetFingerprint }: DoctorOptions,
  signal: AbortSignal,
) {
  const { examine } = await import('../../sdk/index.js');
  return examine(device, {
    version: packageVersion(),
    vectors: packageFile('vectors'),
    model: packageFile('models', 'tiny-stories-Q3_K_M.gguf'),
    touch,
    token,
    fingerprint: tlsFingerprint,
    fleet: url === undefined ? undefined : { url, fingerprint: fleetFingerprint },
    signal,
  });
}

function hasPassed(checks: readonly CheckReport[]): boolean {
  return checks.every(({ status }) => status !== 'fail');
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
