import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { harmlessJson, PynqLlmError } from '../../errors/index.js';
import type { GroupsPlan, PipelinePlan, StagePlan, TensorPlan } from '../../fleet/index.js';
import { type LinkFlags, linkOf, withLink } from '../link-options.js';
import { MIB, wholeNumber, withJson } from '../options.js';
import { printText } from '../output/print.js';
import { runningFacts } from '../output/running-facts.js';
import { formatFacts, formatTable } from '../output/table.js';
import { formatBytes, formatCount, formatDuration, formatShare } from '../output/units.js';

interface FleetPlanOptions extends LinkFlags {
  readonly boards?: number;
  readonly board: readonly string[];
  readonly dmaMemory?: number;
  readonly columns?: number;
  readonly ctxSize?: number;
  readonly kvType?: 'f16' | 'int8';
  readonly timing?: 'synthesised' | 'systemc';
  readonly unpack?: 'words' | 'hls';
  readonly tensor?: boolean;
  readonly pipeline?: number;
  readonly json?: boolean;
}

/** `fleet plan`: how a model would be cut over boards, from its header and the boards' descriptions. */
export function fleetPlanCommand(): Command {
  const command = new Command('plan')
    .description(
      'Cut a model over boards with everything resident: by layers, balanced by predicted core cycles and bounded by memory, or by rows of every matrix. Needs the header of the file, and no board.',
    )
    .addArgument(
      new Argument('<model>', 'a .gguf file, of a split model the first part; its header is enough'),
    )
    .addOption(
      new Option('--boards <n>', 'how many boards of the one kind that --board names').argParser(
        wholeNumber(1, 64),
      ),
    )
    .addOption(
      new Option(
        '-b, --board <name>',
        'a shipped board or a .toml file; several kinds in one fleet: repeat it, each as NAME:COUNT',
      )
        .argParser((one: string, all: readonly string[]) => [...all, one])
        .default([], 'pynq-z1'),
    )
    .addOption(
      new Option(
        '--dma-memory <mib>',
        'MiB for DMA on each board, instead of what its description has',
      ).argParser(wholeNumber(4, 65_536)),
    )
    .addOption(
      new Option('--columns <n>', 'sequences that go through a step together; 8, with --tensor 1').argParser(
        wholeNumber(1, 64),
      ),
    )
    .addOption(new Option('-c, --ctx-size <tokens>', 'context of a sequence').argParser(wholeNumber(1)))
    .addOption(new Option('--kv-type <type>', 'how keys and values are stored').choices(['f16', 'int8']))
    .addOption(
      new Option('--timing <timing>', "the core's timing, instead of the description's").choices([
        'synthesised',
        'systemc',
      ]),
    )
    .addOption(
      new Option('--unpack <speed>', 'how fast the synthesised core unpacks weights').choices([
        'words',
        'hls',
      ]),
    )
    .option(
      '--tensor',
      'cut rows of every matrix and heads instead of layers; refused where exchanges cost more than it gains',
    )
    .addOption(
      new Option(
        '--pipeline <n>',
        'with --tensor: cut layers over so many groups of the boards, in the order in which they are named, and rows within each group',
      ).argParser(wholeNumber(2, 64)),
    );
  return withJson(withLink(command), 'one JSON object: the plan').action(
    async (file: string, options: FleetPlanOptions) => {
      const { describeBoards, planGroups, planPipeline, planTensor, readFleetModel } = await import(
        '../../fleet/index.js'
      );
      const boards = describeBoards(options.board.map(parseBoard), options.boards, {
        ...(options.dmaMemory !== undefined && { dmaBytes: options.dmaMemory * MIB }),
        ...(options.timing !== undefined && { timing: options.timing }),
        ...(options.unpack !== undefined && { unpack: options.unpack }),
      });
      const model = readFleetModel(file);
      const request = { contextLength: options.ctxSize, kvType: options.kvType };
      const { columns, tensor = false, pipeline } = options;
      const link = linkOf(options);
      const groups = pipeline === undefined ? undefined : groupsOf(boards, pipeline, tensor);
      const plan =
        groups !== undefined
          ? planGroups(model, groups, { columns, request, linkOf: () => link })
          : tensor
            ? planTensor(model, boards, { columns, request, link })
            : planPipeline(model, boards, { columns, request });
      if (options.json) return printText(`${harmlessJson(plan)}\n`);
      const [{ timing, unpack, clockHz }] = boards as [(typeof boards)[0]];
      const clock = `${timing} timing${timing === 'systemc' ? '' : `, unpack=${unpack}`}, ${formatCount(clockHz)}Hz`;
      const text =
        'boards' in plan
          ? describeTensor(plan, clock)
          : 'running' in plan
            ? describePipeline(plan, clock)
            : describeGroups(plan, clock);
      printText(`${text}\n`);
    },
  );
}

/** @throws PynqLlmError CLI_BAD_ARGUMENT */
function groupsOf<B>(boards: readonly B[], count: number, isTensor: boolean): B[][] {
  const size = boards.length / count;
  if (!isTensor)
    throw new PynqLlmError(
      'CLI_BAD_ARGUMENT',
      '--pipeline is for --tensor: without it each board is a stage, as many as --boards says.',
    );
  if (!Number.isInteger(size) || size < 2)
    throw new PynqLlmError(
      'CLI_BAD_ARGUMENT',
      `${boards.length} boards make no ${count} groups of as many boards, 2 at least.`,
    );
  return Array.from({ length: count }, (_, i) => boards.slice(i * size, (i + 1) * size));
}

function parseBoard(text: string): { readonly name: string; readonly count: number | undefined } {
  const [, name, count] = /^(.+?)(?::(\d{1,3}))?$/.exec(text) ?? [];
  if (name === undefined || count === '0')
    throw new InvalidArgumentError('It must be a board, or NAME:COUNT.');
  return { name, count: count === undefined ? undefined : Number(count) };
}

const NOT_PREDICTED: [string, string] = [
  'a step takes',
  'what processors take, which is not predicted: the core has none of its matrices',
];

function describePipeline(
  { model, columns, stages, stepMs, aloneMs, gain, running, kvTokens }: PipelinePlan,
  clock: string,
): string {
  const headings = [
    { heading: 'stage', right: true },
    { heading: 'board' },
    { heading: 'layers' },
    { heading: 'DMA memory', right: true },
    { heading: 'of', right: true },
    { heading: "Linux's memory", right: true },
    { heading: 'of', right: true },
    { heading: 'core cycles', right: true },
    { heading: 'time', right: true },
    { heading: 'of the slowest', right: true },
  ];
  const rows = stages.map(({ board, from, to, hasOutput, memory, cycles, ms }, i) => [
    String(i),
    board,
    layersOf({ from, to, hasOutput }),
    mebibytes(memory.dma.need),
    mebibytes(memory.dma.available),
    mebibytes(memory.system.need),
    mebibytes(memory.system.available),
    formatCount(cycles),
    formatDuration(ms),
    stepMs === 0 ? '-' : formatShare(ms / stepMs),
  ]);
  const paceOf = (): [string, string][] => [
    ['a step ends every', `${formatDuration(stepMs)}, with as many micro-batches as stages`],
    [
      'steps a second',
      `${gain.toFixed(2)} times those of one board with all of it (${formatDuration(aloneMs)}), without links`,
    ],
  ];
  const facts = formatFacts([
    ['model', `${model}, everything resident`],
    ['a step', stepOf(columns, clock)],
    ...(stepMs === 0 ? [NOT_PREDICTED] : paceOf()),
    ...runningFacts(running),
    ['keys and values of', `${kvTokens} tokens of one sequence in each stage`],
  ]);
  return `${formatTable(headings, rows)}\n\n${facts}`;
}

function describeTensor(plan: TensorPlan, clock: string): string {
  const headings = [
    { heading: 'board' },
    { heading: 'heads', right: true },
    { heading: 'of keys and values', right: true },
    { heading: 'rows of attn_output, ffn_down', right: true },
    { heading: 'of ffn_gate, ffn_up', right: true },
    { heading: 'of output', right: true },
    { heading: 'DMA memory', right: true },
    { heading: 'core cycles', right: true },
    { heading: 'sends a step', right: true },
  ];
  const rows = plan.boards.map(({ board, share, memory, cycles, sentBytes }) => [
    board,
    ...[share.heads, share.kvHeads, share.stream, share.feedForward, share.logits].map(({ count }) =>
      String(count),
    ),
    mebibytes(memory.dma.need),
    formatCount(cycles),
    formatBytes(sentBytes),
  ]);
  const facts = formatFacts([
    ['model', `${plan.model}, cut by rows of every matrix: the bits of one board`],
    ['a step', stepOf(plan.columns, clock)],
    [
      'takes',
      `${formatDuration(plan.stepMs)}: ${formatDuration(plan.coreMs)} of the cores, ${formatDuration(plan.linkMs)} of the links`,
    ],
    ['on one board with all of it', `${formatDuration(plan.aloneMs)}: ${plan.gain.toFixed(2)} times`],
    [
      'exchanges',
      `${plan.exchanges}, ${formatBytes(plan.wireBytes)} in all; attention as ${plan.attended}, inside of feed-forwards as ${plan.inner}`,
    ],
  ]);
  return `${formatTable(headings, rows)}\n\n${facts}`;
}

function describeGroups(plan: GroupsPlan, clock: string): string {
  const headings = [
    { heading: 'stage', right: true },
    { heading: 'board' },
    { heading: 'layers' },
    { heading: 'heads', right: true },
    { heading: 'DMA memory', right: true },
    { heading: 'of', right: true },
    { heading: 'core cycles', right: true },
    { heading: 'sends a step', right: true },
    { heading: 'time of the stage', right: true },
    { heading: 'of the slowest', right: true },
  ];
  const rows = plan.stages.flatMap(({ from, to, hasOutput, rows }, i) =>
    rows.boards.map(({ board, share, memory, cycles, sentBytes }) => [
      String(i),
      board,
      layersOf({ from, to, hasOutput }),
      String(share.heads.count),
      mebibytes(memory.dma.need),
      mebibytes(memory.dma.available),
      formatCount(cycles),
      formatBytes(sentBytes),
      formatDuration(rows.stepMs),
      formatShare(rows.stepMs / plan.stepMs),
    ]),
  );
  const facts = formatFacts([
    ['model', `${plan.model}, cut by layers over groups, and by rows within each: the bits of one board`],
    ['a step', stepOf(plan.columns, clock)],
    ['a step ends every', `${formatDuration(plan.stepMs)}, with as many micro-batches as stages`],
    [
      'steps a second',
      `${plan.gain.toFixed(2)} times those of one board with all of it (${formatDuration(plan.aloneMs)}), without links between stages`,
    ],
    ['keys and values of', `${plan.kvTokens} tokens of one sequence on each board`],
  ]);
  return `${formatTable(headings, rows)}\n\n${facts}`;
}

/** The layers of a stage. */
function layersOf({ from, to, hasOutput }: Pick<StagePlan, 'from' | 'to' | 'hasOutput'>): string {
  return `${to - from} (${from} to ${to - 1})${hasOutput ? ' + output' : ''}`;
}

function stepOf(columns: number, clock: string): string {
  return `${columns} ${columns === 1 ? 'column' : 'columns'}; ${clock}`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}
