import { Argument, Command } from 'commander';
import { harmlessJson } from '../../errors/index.js';
import type { MemoryBudget, ModelFile, PlanReport } from '../../sdk/index.js';
import {
  type DeviceOptions,
  type LoadFlags,
  loadSettings,
  withDevice,
  withJson,
  withLoad,
} from '../options.js';
import { printText } from '../output/print.js';
import { formatFacts, formatTable } from '../output/table.js';
import { formatBytes, formatCount, formatDuration, formatShare } from '../output/units.js';
import { withBoard } from '../session.js';
import { describeVerdict, refusedFor, verdictOf } from './inspect-verdict.js';

const MAX_VALUE_LENGTH = 70;

interface InspectOptions extends DeviceOptions, LoadFlags {
  readonly board?: string;
  readonly json?: boolean;
}

/** `inspect`: whether a model file runs, what it holds, where each tensor would go on a board and what it takes. Uploads nothing. */
export function inspectCommand(): Command {
  const command = new Command('inspect')
    .description(
      'Say whether a .gguf file runs on the device, what it holds, where each tensor would go, and what it takes of the memory. Uploads nothing.',
    )
    .addArgument(new Argument('<file>', 'a .gguf file, of a split model the first part'))
    .option(
      '-b, --board <name>',
      'a shipped board, such as pynq-z1-360, or a .toml file: no device is asked',
    );
  withJson(
    withDevice(withLoad(command)),
    'one JSON object {"file","runs","assumed","metadata","tensors","placement","memory"}',
  );
  return command.action(async (file: string, options: InspectOptions) => {
    const { checkModel, inspectModel } = await import('../../sdk/index.js');
    const model = inspectModel(file);
    const { problem, assumed } = await checkModel(file);
    if (problem !== undefined) {
      const runs = refusedFor(problem);
      if (options.json) return printText(`${asJson(file, model, { runs, assumed })}\n`);
      return printText(`${describeVerdict(runs, assumed)}\n\n${describeFile(file, model)}\n`);
    }
    const planned = await withLosses(file, await plan(file, model, options));
    const runs = verdictOf(planned);
    const { memory, timing, clockHz, ...placement } = planned;
    if (options.json) return printText(`${asJson(file, model, { runs, assumed, placement, memory })}\n`);
    printText(`${describeVerdict(runs, assumed)}\n\n`);
    printText(`${describeFile(file, model)}\n\n${describePlacement(placement, { timing, clockHz })}\n`);
    if (memory !== undefined) printText(`\n${describeMemory(memory)}\n`);
  });
}

function asJson(file: string, { metadata, ...rest }: ModelFile, found: object): string {
  const shown = Object.fromEntries(metadata.map(({ key, value }) => [key, value]));
  return harmlessJson({ file, ...rest, metadata: shown, ...found });
}

/** Of a board that is not there by its description, else of the device as it is now. */
async function plan(file: string, model: ModelFile, options: InspectOptions): Promise<PlanReport & Clock> {
  const settings = loadSettings(options);
  if (options.board !== undefined) {
    const { planOnBoard } = await import('../../sdk/index.js');
    return planOnBoard(file, options.board, settings);
  }
  return withBoard(options, async (board) => {
    const [placement, memory] = await Promise.all([
      board.models.plan(model.tensors, settings),
      board.models.budget(file, settings),
    ]);
    const { timing, clockHz } = board.info.description;
    return { ...placement, ...(memory && { memory }), timing, clockHz };
  });
}

/** A placement with what was measured of weights that have another form on the core. */
type Measured<T extends PlanReport> = Omit<T, 'tensors'> & {
  readonly tensors: (T['tensors'][number] & { readonly loss?: number | undefined })[];
};

async function withLosses<T extends PlanReport>(file: string, planned: T): Promise<Measured<T>> {
  const { measureLosses } = await import('../../sdk/index.js');
  const losses = await measureLosses(file, planned.tensors);
  const tensors = planned.tensors.map((tensor) => ({ ...tensor, loss: losses.get(tensor.name) }));
  return { ...planned, tensors };
}

/** What cycles are of, and how long they are. */
interface Clock {
  readonly timing: 'systemc' | 'synthesised';
  readonly clockHz: number;
}

function describePlacement(
  { board, tensors, totals, dmaMemory, tokenCycles }: Measured<PlanReport>,
  clock: Clock,
): string {
  const weights = totals.resident.weights + totals.staged.weights + totals.cpu.weights;
  const rows = tensors.map((tensor) => [
    tensor.name,
    tensor.type,
    `${tensor.rows} x ${tensor.columns}`,
    tensor.form === undefined ? tensor.placement : `${tensor.placement} as ${tensor.form}`,
    formatBytes(tensor.bytes),
    tensor.extraBytes === undefined ? '' : formatExtra(tensor.extraBytes),
    tensor.loss === undefined ? '' : formatLoss(tensor.loss),
    tensor.reason,
  ]);
  const headings = [
    { heading: 'tensor' },
    { heading: 'type' },
    { heading: 'rows x columns', right: true },
    { heading: `on ${board}` },
    { heading: 'memory', right: true },
    { heading: 'extra', right: true },
    { heading: 'loss', right: true },
    { heading: 'why' },
  ];
  const facts = formatFacts([
    ['resident in DMA memory', `${totals.resident.tensors} tensors, ${formatBytes(totals.resident.bytes)}`],
    ['staged from CPU memory', `${totals.staged.tensors} tensors, ${formatBytes(totals.staged.bytes)}`],
    ['computed by the CPU', `${totals.cpu.tensors} tensors`],
    [
      'core cycles a token',
      `${describeCycles(tokenCycles, clock)}${tensors.some(({ name }) => name.includes('_exps.')) ? '; with all experts, of which a token uses some' : ''}`,
    ],
    ['weights on the core', formatShare(1 - totals.cpu.weights / Math.max(1, weights))],
    ...otherForms(tensors),
    ['DMA memory', `${formatBytes(dmaMemory.total)}, ${formatBytes(dmaMemory.free)} of it free afterwards`],
  ]);
  return `${formatTable(headings, rows)}\n\n${facts}`;
}

/** What the core multiplies in another form than the file's. */
function otherForms(tensors: Measured<PlanReport>['tensors']): [string, string][] {
  const others = tensors.filter(({ form }) => form !== undefined);
  if (others.length === 0) return [];
  const extra = others.reduce((sum, { extraBytes = 0 }) => sum + extraBytes, 0);
  const worst = others.reduce((most, { loss = 0 }) => Math.max(most, loss), 0);
  const what = `${others.length} tensors, ${formatExtra(extra)}, loss of weights (relative RMS) at most ${formatLoss(worst)}`;
  return [['in another form', what]];
}

function formatExtra(bytes: number): string {
  return `${bytes < 0 ? '-' : '+'}${formatBytes(Math.abs(bytes))}`;
}

function formatLoss(loss: number): string {
  return loss === 0 ? '0' : loss.toExponential(1);
}

/** What loading would say of it. */
function describeMemory({ table, refusal, fits, contextLength, kvTokens }: MemoryBudget): string {
  if (refusal === undefined)
    return `${table}\n\nfits: a context of ${contextLength} tokens, keys and values of ${kvTokens} for one sequence`;
  const would = fits.map((one, i) => `  (${i + 1}) ${one}`).join('\n');
  return `${table}\n\ndoes not fit: ${refusal}${would === '' ? '' : `; it would fit\n${would}`}`;
}

/** K-quants have whole super-blocks, unless `quantize --pad` made them. */
function paddedRows({ tensors }: ModelFile): [string, string][] {
  const count = tensors.filter(({ type, columns }) => type.endsWith('_K') && columns % 256 !== 0).length;
  if (count === 0) return [];
  return [['padded rows', `of ${count} tensors, for the core (quantize --pad): llama.cpp refuses the file`]];
}

function describeFile(file: string, model: ModelFile): string {
  const facts = formatFacts([
    ['file', model.files.length === 1 ? file : `${file} and the ${model.files.length - 1} parts behind it`],
    ['format', `GGUF v${model.version}`],
    ['size', formatBytes(model.bytes)],
    ['parameters', formatCount(model.parameters)],
    [
      'tensor types',
      Object.entries(model.tensorTypes)
        .map(([type, count]) => `${count} ${type}`)
        .join(', '),
    ],
    ...paddedRows(model),
  ]);
  const metadata = formatFacts(
    model.metadata.map(({ key, value, length }) => [key, shorten(value, length)] as const),
  );
  return `${facts}\n\n${metadata}`;
}

/** Both ends of what is known, with the timing that they are of, and what that is at the board's clock. */
function describeCycles({ words, hls }: PlanReport['tokenCycles'], { timing, clockHz }: Clock): string {
  const time = (cycles: number) => formatDuration((cycles / clockHz) * 1000);
  const clock = `${formatCount(clockHz)}Hz`;
  if (timing === 'systemc')
    return `${formatCount(words)}, ${time(words)} at ${clock}: the SystemC model's timing, no hardware's`;
  const range = `${formatCount(words)} to ${formatCount(hls)}, ${time(words)} to ${time(hls)} at ${clock}`;
  return `${range}: synthesised timing, unpacker as fast as the words or as the HLS report has it`;
}

function shorten(value: unknown, length: number | undefined): string {
  const text = JSON.stringify(value) ?? '';
  const cut = text.length > MAX_VALUE_LENGTH ? `${text.slice(0, MAX_VALUE_LENGTH)}…` : text;
  return length === undefined ? cut : `${cut} (${length} values)`;
}
