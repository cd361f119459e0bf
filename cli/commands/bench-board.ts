import { Command, InvalidArgumentError, Option } from 'commander';
import type { BoardBenchResult, Missing, NullMemory, ProjectedBoard } from '../../bench/index.js';
import { harmlessJson } from '../../errors/index.js';
import { withJson } from '../options.js';
import { noteText, printText } from '../output/print.js';
import { formatFacts, formatTable } from '../output/table.js';

interface BenchBoardOptions {
  readonly quick?: boolean;
  readonly contexts: readonly number[];
  readonly memory?: NullMemory;
  readonly file?: string;
  readonly project?: boolean;
  readonly json?: boolean;
}

const MOST_CONTEXT = 2048;
const MEMORY: readonly NullMemory[] = ['reserved', 'u-dma-buf'];

/** `bench board`: what a token costs the board's own processor, in instructions. */
export function benchBoardCommand(): Command {
  const command = new Command('board')
    .description(
      "Count the armv7 instructions of a token on the engine's thread, by part, on a device that takes no time. Needs QEMU's user mode (Debian: qemu-user).",
    )
    .addOption(
      new Option('--contexts <n,...>', 'tokens that the counted token sees')
        .argParser(contextList)
        .default([40, 256, 1024], '40,256,1024'),
    )
    .addOption(new Option('--memory <kind>', 'kind of DMA memory; both when left out').choices(MEMORY))
    .option('--file <model.gguf>', 'count with this model; all of its weights have to fit 640 MiB')
    .option(
      '--project',
      "instead the time of a token on boards, from what is counted and what is assumed of a board's processor and memory",
    )
    .option('--quick', 'a small model: for seeing that it works, not for quoting');
  withJson(
    command,
    'one JSON object: {"file","runs"}, with --project a list of boards, or {"skipped"} with the reason',
  );
  return command.action(async (_: unknown, self: Command) => {
    // `--json` and `--quick` of `bench` stand before the name of this command or after it.
    const options: BenchBoardOptions = self.optsWithGlobals();
    const { benchProjection, benchBoard } = await import('../../bench/index.js');
    const onNote = (what: string) => noteText(`${what}\n`);
    if (options.project) return print(await benchProjection(onNote), options.json, describeBoards);
    const { quick = false, memory, contexts, file } = options;
    const kinds = memory === undefined ? MEMORY : [memory];
    const result = await benchBoard({ small: quick, contexts, memory: kinds, file, onNote });
    print(result, options.json, describe);
  });
}

function print<T extends object>(
  result: T | Missing,
  json: boolean | undefined,
  describe: (result: T) => string,
): void {
  if ('missing' in result) {
    const { missing: skipped } = result;
    printText(json ? `${harmlessJson({ skipped })}\n` : `bench board is skipped: ${skipped}\n`);
  } else printText(json ? `${harmlessJson(result)}\n` : `${describe(result)}\n`);
}

function contextList(text: string): number[] {
  const values = text.split(',').map(Number);
  if (values.every((value) => Number.isInteger(value) && value >= 2 && value <= MOST_CONTEXT)) return values;
  throw new InvalidArgumentError(`It must be numbers from 2 to ${MOST_CONTEXT} with commas between them.`);
}

function describe({ runs }: BoardBenchResult): string {
  return runs.map(describeRun).join('\n\n');
}

function describeRun({ memory, counts, traffic, tensors }: BoardBenchResult['runs'][number]): string {
  const perTile = (count: number) => `${count}, ${(count / traffic.tiles).toFixed(2)} a tile`;
  const facts = formatFacts([
    ['DMA memory', memory],
    ['weights', `${tensors.resident} tensors resident, ${tensors.staged} staged, ${tensors.cpu} on the CPU`],
    ['tiles a token', String(traffic.tiles)],
    ['register accesses a token', perTile(traffic.registerReads + traffic.registerWrites)],
    ['transfers a token', perTile(traffic.dmaTransfers)],
    ['bytes written and read by the processor', `${traffic.cpuBytesWritten}, ${traffic.cpuBytesRead}`],
    ['bytes handed over, commands to the cache', `${traffic.bytesHandedOver}, ${traffic.cacheCommands}`],
  ]);
  const millions = (instructions: number) => (instructions / 1e6).toFixed(2);
  const headings = [
    { heading: 'millions of instructions a token' },
    ...counts.map(({ context }) => ({ heading: `context ${context}`, right: true })),
  ];
  const parts = Object.keys(counts[0]?.parts ?? {}) as (keyof (typeof counts)[0]['parts'])[];
  const rows = parts.map((part) => [part, ...counts.map((count) => millions(count.parts[part]))]);
  rows.push(['all of it', ...counts.map(({ total }) => millions(total))]);
  rows.push(['most / least', ...counts.map(({ spread }) => spread.toFixed(4))]);
  return `${facts}\n\n${formatTable(headings, rows)}`;
}

function describeBoards(boards: readonly ProjectedBoard[]): string {
  return boards.map(describeBoard).join('\n\n');
}

function describeBoard({ title, note, published, contexts }: ProjectedBoard): string {
  const span = ([low, high]: readonly [number, number]) => `${low.toFixed(2)} to ${high.toFixed(2)}`;
  const headings = [
    { heading: 'seconds a token' },
    ...contexts.map(({ context }) => ({ heading: `context ${context}`, right: true })),
    { heading: 'what it rests on' },
  ];
  const rows = (contexts[0]?.lines ?? []).map(({ what, assumption }, i) => [
    what,
    ...contexts.map(({ lines }) => span(lines[i]!.seconds)),
    assumption,
  ]);
  const counted = contexts.map(({ instructions }) => (instructions / 1e6).toFixed(1));
  rows.unshift(['(millions of instructions)', ...counted, 'counted under QEMU']);
  rows.push(['all of it', ...contexts.map(({ seconds }) => span(seconds)), `published: ${published}`]);
  return `${title} (${note})\n${formatTable(headings, rows)}`;
}
