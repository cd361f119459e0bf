import { Argument, Command } from 'commander';
import { harmlessJson } from '../../errors/index.js';
import { withJson } from '../options.js';
import { noteText, printText } from '../output/print.js';
import { formatTable } from '../output/table.js';
import { benchBoardCommand } from './bench-board.js';
import { benchFleetCommand } from './bench-fleet.js';
import { benchServeCommand } from './bench-serve.js';

/** `bench`: the figures that docs/benchmarks.md quotes, as ratios against a baseline of the same run. */
export function benchCommand(): Command {
  const command = new Command('bench')
    .description(
      'Measure the mock MatMul, decoding (where node-llama-cpp is installed, beside llama.cpp), upload, the wire, the start of a command and threads beside a simulated board on this machine and simulate scheduling, each beside a baseline of the same run.',
    )
    .addArgument(
      new Argument('[groups...]', 'which groups; all when left out').choices([
        'matmul',
        'decode',
        'llama',
        'upload',
        'wire',
        'schedule',
        'start',
        'threads',
      ]),
    )
    .addCommand(benchServeCommand())
    .addCommand(benchBoardCommand())
    .addCommand(benchFleetCommand())
    .option('--quick', 'shorter runs and a small model: for seeing that it works, not for quoting');
  return withJson(command, 'a JSON list of {"name","value","unit","baseline","ratio"}').action(
    async (groups: string[], options: { quick?: boolean; json?: boolean }) => {
      const { describeMachine, runBenchmarks } = await import('../../bench/index.js');
      const rows = await runBenchmarks(groups, {
        quick: options.quick ?? false,
        onNote: (what) => noteText(`${what}\n`),
      });
      if (options.json) return printText(`${harmlessJson(rows)}\n`);
      const cell = (value: number | null) => (value === null ? '' : value.toPrecision(4));
      const headings = [
        { heading: 'name' },
        { heading: 'value', right: true },
        { heading: 'unit' },
        { heading: 'baseline', right: true },
        { heading: 'ratio', right: true },
      ];
      const table = formatTable(
        headings,
        rows.map((row) => [row.name, cell(row.value), row.unit, cell(row.baseline), cell(row.ratio)]),
      );
      printText(`${describeMachine()}\n\n${table}\n`);
    },
  );
}
