import { Argument, Command } from 'commander';
import { harmlessJson } from '../../errors/index.js';
import type { BitstreamFacts, HandoffFacts } from '../../sdk/board-setup.js';
import { readFile } from '../files.js';
import { withJson } from '../options.js';
import { noteText, printText } from '../output/print.js';
import { formatFacts, formatTable } from '../output/table.js';
import { formatBytes, formatHex } from '../output/units.js';

interface BitstreamOptions {
  readonly board?: string;
  readonly boardFile?: boolean;
  readonly json?: boolean;
}

/** `bitstream`: what a .bit, .bin or .hwh file is for, and the board description that a .hwh becomes. Changes nothing. */
export function bitstreamCommand(): Command {
  const command = new Command('bitstream')
    .description('Show which FPGA and design a .bit, .bin or .hwh file is for. Reads only.')
    .addArgument(new Argument('<file>', 'a .bit, .bin or .hwh file, or - for standard input'))
    .option(
      '-b, --board <name>',
      'a shipped board or a .toml file: a bitstream for another FPGA is an error, a .hwh takes its memory from it',
    )
    .option('--board-file', 'print the board description that a .hwh becomes, for a .toml file');
  return withJson(command, 'one JSON object').action(async (file: string, options: BitstreamOptions) => {
    const { inspectFirmware } = await import('../../sdk/board-setup.js');
    const facts = inspectFirmware(readFile(file), options.board);
    if (options.json) printText(`${harmlessJson(facts)}\n`);
    else if (facts.format !== 'hwh') printText(`${describeBitstream(facts)}\n`);
    else {
      printText(options.boardFile ? facts.boardFile : `${describeHandoff(facts)}\n`);
      noteText(facts.warnings.map((warning) => `warning: ${warning}\n`).join(''));
    }
  });
}

function describeBitstream(facts: BitstreamFacts): string {
  return formatFacts([
    ['format', facts.format === 'bit' ? '.bit, with header' : '.bin, without header'],
    ['design', facts.design ?? 'not said'],
    ['part', facts.part ?? 'not said'],
    ['built', facts.built ?? 'not said'],
    ['data', formatBytes(facts.bytes)],
    [
      'bytes of a word',
      facts.order === 'bit' ? 'as in a .bit' : 'reversed, as the Zynq-7000 driver takes them',
    ],
    ['IDCODE', facts.idcode === null ? 'not said' : formatHex(facts.idcode)],
    ['FPGA', facts.fpga ?? 'none that is known'],
    ...(facts.board === null ? [] : [['published for', facts.board] as const]),
    ['firmware SHA-256', facts.digest ?? 'unknown without its FPGA'],
  ]);
}

function describeHandoff({ design, part, vivado, board }: HandoffFacts): string {
  const { clockHz, revision, dma, windows, fpga } = board;
  const facts = formatFacts([
    ['format', '.hwh, hardware handoff'],
    ['design', design],
    ['part', part],
    ['built', `by Vivado ${vivado}`],
    ['core', `revision ${revision}, ${dma.lanes} DMA lanes of ${dma.lengthBits} LENGTH bits`],
    [
      'clock',
      `${clockHz / 1e6} MHz${fpga?.clock === undefined ? '' : `, clock ${fpga.clock} of the processor`}`,
    ],
  ]);
  const rows = Object.entries(windows).map(([name, { base, size }]) => [
    name,
    formatHex(base),
    formatHex(size),
  ]);
  const table = formatTable([{ heading: 'window' }, { heading: 'address' }, { heading: 'size' }], rows);
  return `${facts}\n\n${table}`;
}
