import { Argument, Command } from 'commander';
import { harmlessJson } from '../../errors/index.js';
import type { QuantizeModelOptions, QuantizeResult } from '../../sdk/index.js';
import { wholeNumber, withJson } from '../options.js';
import { printText } from '../output/print.js';
import { Progress } from '../output/progress.js';
import { formatTable } from '../output/table.js';
import { formatBytes } from '../output/units.js';
import { withInterrupt } from '../session.js';

const MIB = 2 ** 20;

interface QuantizeFlags
  extends Omit<QuantizeModelOptions, 'signal' | 'onProgress' | 'onMeasure' | 'tensorTypes' | 'budgetBytes'> {
  readonly tensorType: readonly string[];
  readonly budget?: number;
  readonly json?: boolean;
}

/** `quantize`: a smaller copy of a model, with llama-quantize's bytes. No device is asked. */
export function quantizeCommand(): Command {
  const command = new Command('quantize')
    .description('Write a quantised copy of a model, byte for byte as llama-quantize does. Asks no device.')
    .addArgument(new Argument('<in>', 'a .gguf file in F32, F16, BF16 or Q8_0'))
    .addArgument(new Argument('<out>', 'the .gguf file to write'))
    .requiredOption(
      '-t, --type <type>',
      'mixture: Q2_K, Q3_K_S, Q3_K_M, Q4_K_M, Q5_K_M, Q6_K, Q8_0, IQ4_XS ...',
    )
    .option(
      '--tensor-type <pattern=type>',
      "a type for tensors whose name matches, such as 'blk\\.0\\.ffn_down=Q5_K'; may be repeated, the first match holds",
      (rule: string, rules: readonly string[]) => [...rules, rule],
      [],
    )
    .option('--output-tensor-type <type>', 'type of output.weight')
    .option('--token-embedding-type <type>', 'type of the embedding')
    .option('--pure', 'one type for all tensors instead of a mixture')
    .option(
      '--pad',
      "pad rows that are no multiple of 256 with zeros, so that they get the core's types; llama.cpp cannot read the file then",
    )
    .option('--imatrix <file>', 'an importance matrix of this model, as llama-imatrix writes it')
    .option(
      '--budget <mib>',
      "MiB of a board's DMA memory for all matrices: types are chosen one by one, by measured error, and shown",
      wholeNumber(1),
    )
    .option('--dry-run', 'only say what each tensor would become')
    .option('-f, --force', 'replace a file that is there');
  withJson(command, 'one JSON object {"type","bytesBefore","bytesAfter","tensors"}');
  return command.action(
    async (input: string, output: string, { json, tensorType, budget, ...options }: QuantizeFlags) => {
      const { quantizeModel } = await import('../../sdk/index.js');
      const result = await withInterrupt(async (signal) => {
        using measuring = new Progress('measure', formatTensors);
        using progress = new Progress('quantize');
        const made = await quantizeModel(input, output, {
          ...options,
          tensorTypes: tensorType,
          ...(budget !== undefined && { budgetBytes: budget * MIB }),
          signal,
          onMeasure: (done, all) => measuring.update(done, all),
          onProgress: (done, all) => progress.update(done, all),
        });
        progress.finish();
        return made;
      });
      printText(json ? `${harmlessJson(result)}\n` : `${describe(result)}\n`);
    },
  );
}

function formatTensors(count: number): string {
  return `${Math.floor(count)} tensors`;
}

/** Bytes and errors of all types for each matrix; the chosen one is marked. */
function describeMeasured(measured: NonNullable<QuantizeResult['measured']>): string {
  const types = measured[0]?.candidates.map(({ type }) => type) ?? [];
  const columns = [
    { heading: 'matrix' },
    { heading: 'chosen' },
    { heading: 'DMA memory', right: true },
    ...types.map((type) => ({ heading: `error ${type}`, right: true })),
  ];
  const rows = measured.map(({ name, chosen, candidates }) => [
    name,
    chosen,
    formatBytes(candidates.find(({ type }) => type === chosen)?.bytes ?? 0),
    ...candidates.map(({ error }) => error.toExponential(2)),
  ]);
  return `${formatTable(columns, rows)}\n\n`;
}

function describe({ type, bytesBefore, bytesAfter, tensors, measured }: QuantizeResult): string {
  const kinds = new Map<string, { count: number; before: number; after: number }>();
  for (const { from, to, bytesBefore: before, bytesAfter: after } of tensors) {
    const kind = from === to ? `${from} kept` : `${from} → ${to}`;
    const sum = kinds.get(kind) ?? { count: 0, before: 0, after: 0 };
    kinds.set(kind, { count: sum.count + 1, before: sum.before + before, after: sum.after + after });
  }
  const rows = [...kinds].map(([kind, { count, before, after }]) => [
    kind,
    String(count),
    formatBytes(before),
    formatBytes(after),
  ]);
  const columns = [
    { heading: 'tensors' },
    { heading: 'count', right: true },
    { heading: 'before', right: true },
    { heading: 'after', right: true },
  ];
  const file = `${type}: ${formatBytes(bytesBefore)} → ${formatBytes(bytesAfter)}`;
  const shown = measured === undefined ? '' : describeMeasured(measured);
  return `${shown}${formatTable(columns, rows)}\n\n${file}`;
}
