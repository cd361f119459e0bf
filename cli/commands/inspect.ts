import { Argument, Command } from 'commander';
import { harmlessJson } from '../../errors/index.js';
import type { ModelFile, PlacementReport as Placement } from '../../sdk/index.js';
import { type DeviceOptions, withDevice, withJson } from '../options.js';
import { printText } from '../output/print.js';
import { formatFacts, formatTable } from '../output/table.js';
import { formatBytes, formatCount, formatDuration, formatShare } from '../output/units.js';
import { withBoard } from '../session.js';

const MAX_VALUE_LENGTH = 70;

/** `inspect`: what a model file holds, and where each tensor would go on a board. Uploads nothing. */
export function inspectCommand(): Command {
  const command = new Command('inspect')
    .description(
      'Show what a .gguf file holds and where each tensor would go on the device. Uploads nothing.',
    )
    .addArgument(new Argument('<file>', 'a .gguf file'));
  return withJson(withDevice(command), 'one JSON object {"file","metadata","tensors","placement"}').action(
    async (file: string, options: DeviceOptions & { json?: boolean }) => {
      const { inspectModel } = await import('../../sdk/index.js');
      const model = inspectModel(file);
      await withBoard(options, async (board) => {
        const placement = await board.models.plan(model.tensors);
        if (options.json) {
          const { metadata, ...rest } = model;
          const shown = Object.fromEntries(metadata.map(({ key, value }) => [key, value]));
          return printText(`${harmlessJson({ file, ...rest, metadata: shown, placement })}\n`);
        }
        printText(`${describeFile(file, model)}\n\n`);
        const { totals, dmaMemory } = placement;
        const weights = totals.resident.weights + totals.staged.weights + totals.cpu.weights;
        const rows = placement.tensors.map((tensor) => [
          tensor.name,
          tensor.type,
          `${tensor.rows} x ${tensor.columns}`,
          tensor.placement,
          formatBytes(tensor.bytes),
          tensor.reason,
        ]);
        const headings = [
          { heading: 'tensor' },
          { heading: 'type' },
          { heading: 'rows x columns', right: true },
          { heading: `on ${board.info.description.name}` },
          { heading: 'memory', right: true },
          { heading: 'why' },
        ];
        printText(`${formatTable(headings, rows)}\n\n`);
        printText(
          `${formatFacts([
            [
              'resident in DMA memory',
              `${totals.resident.tensors} tensors, ${formatBytes(totals.resident.bytes)}`,
            ],
            [
              'staged from CPU memory',
              `${totals.staged.tensors} tensors, ${formatBytes(totals.staged.bytes)}`,
            ],
            ['computed by the CPU', `${totals.cpu.tensors} tensors`],
            ['core cycles a token', describeCycles(placement.tokenCycles, board.info.description)],
            ['weights on the core', formatShare(1 - totals.cpu.weights / Math.max(1, weights))],
            [
              'DMA memory',
              `${formatBytes(dmaMemory.total)}, ${formatBytes(dmaMemory.free)} of it free afterwards`,
            ],
          ])}\n`,
        );
      });
    },
  );
}

function describeFile(file: string, model: ModelFile): string {
  const facts = formatFacts([
    ['file', file],
    ['format', `GGUF v${model.version}`],
    ['size', formatBytes(model.bytes)],
    ['parameters', formatCount(model.parameters)],
    [
      'tensor types',
      Object.entries(model.tensorTypes)
        .map(([type, count]) => `${count} ${type}`)
        .join(', '),
    ],
  ]);
  const metadata = formatFacts(
    model.metadata.map(({ key, value, length }) => [key, shorten(value, length)] as const),
  );
  return `${facts}\n\n${metadata}`;
}

/** Both ends of what is known, with the timing that they are of, and what that is at the board's clock. */
function describeCycles(
  { words, hls }: Placement['tokenCycles'],
  { timing, clockHz }: { readonly timing: 'systemc' | 'synthesised'; readonly clockHz: number },
): string {
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
