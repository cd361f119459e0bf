import { Command } from 'commander';
import type { FleetBenchResult } from '../../bench/index.js';
import { harmlessJson } from '../../errors/index.js';
import { type LinkFlags, linkOf, withLink } from '../link-options.js';
import { withJson } from '../options.js';
import { noteText, printText } from '../output/print.js';
import { formatTable } from '../output/table.js';
import { formatCount } from '../output/units.js';

interface BenchFleetOptions extends LinkFlags {
  readonly allreduce?: boolean;
  readonly json?: boolean;
}

/** `bench fleet`: what several boards are worth, in core cycles of a virtual clock. */
export function benchFleetCommand(): Command {
  const command = new Command('fleet')
    .description(
      'Simulate several boards with TinyLlama-1.1B Q3_K_S by the cycles of the core and by links, in each of its timings: pipelines, copies of the model, matrices cut by rows, and who is sent where. The same figures on every machine.',
    )
    .option(
      '--allreduce',
      "beside rows cut exactly, inputs cut with a ring's reductions, which changes bits",
    );
  withJson(withLink(command), 'one JSON object {"model","link","scaling","roundTrips","routing"}');
  return command.action(async (_: unknown, self: Command) => {
    // `--json` of `bench` stands before the name of this command or after it.
    const { allreduce = false, json, ...link }: BenchFleetOptions = self.optsWithGlobals();
    const { benchFleet } = await import('../../bench/index.js');
    if (!json) noteText('fleet: simulating; half a minute\n');
    const result = benchFleet({ link: linkOf(link), allReduce: allreduce });
    printText(json ? `${harmlessJson(result)}\n` : `${describe(result)}\n`);
  });
}

function describe({ model, link, scaling, roundTrips, routing }: FleetBenchResult): string {
  const title = `${model}; links of ${link.bytesPerSecond / 1e6} MB/s, ${link.roundTripMs} ms there and back`;
  return [title, scalingTable(scaling), roundTripTable(roundTrips), routingTable(routing)].join('\n\n');
}

function scalingTable(rows: FleetBenchResult['scaling']): string {
  const headings = [
    { heading: 'timing' },
    { heading: 'what' },
    { heading: 'board' },
    { heading: 'boards', right: true },
    { heading: 'times', right: true },
    { heading: 'cycles a token', right: true },
    { heading: 'alone', right: true },
    { heading: 'M instructions', right: true },
    { heading: 'note' },
  ];
  return formatTable(
    headings,
    rows.map(({ timing, what, board, boards, gain, cyclesPerToken, alone, instructions, note }) => [
      timing,
      what,
      board,
      String(boards),
      gain.toFixed(2),
      formatCount(cyclesPerToken),
      formatCount(alone),
      instructions === null ? '' : instructions.toFixed(1),
      note,
    ]),
  );
}

/** A line for each timing and number of boards. */
function roundTripTable(rows: FleetBenchResult['roundTrips']): string {
  const trips = [...new Set(rows.map(({ roundTripMs }) => roundTripMs))];
  const lines = new Map<string, FleetBenchResult['roundTrips'][number][]>();
  for (const row of rows) {
    const key = `${row.timing}/${row.boards}`;
    lines.set(key, [...(lines.get(key) ?? []), row]);
  }
  return formatTable(
    [
      { heading: 'tensor parallel, exact, one stream: times, by round trip' },
      { heading: 'boards', right: true },
      ...trips.map((ms) => ({ heading: `${ms} ms`, right: true })),
    ],
    [...lines.values()].map((line) => [
      line[0]!.timing,
      String(line[0]!.boards),
      ...line.map(({ gain }) => gain.toFixed(2)),
    ]),
  );
}

function routingTable(rows: FleetBenchResult['routing']): string {
  return formatTable(
    [
      { heading: 'timing' },
      { heading: 'load' },
      { heading: 'boards', right: true },
      { heading: 'policy' },
      { heading: 'first token, median', right: true },
      { heading: '95 %', right: true },
      { heading: 'busiest board / mean', right: true },
    ],
    rows.map(({ timing, load, boards, policy, median, p95, busiest }) => [
      timing,
      load,
      String(boards),
      policy,
      `${median.toFixed(1)} s`,
      `${p95.toFixed(1)} s`,
      busiest.toFixed(2),
    ]),
  );
}
