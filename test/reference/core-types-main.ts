import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type BoardDescription, loadBoardDescription } from '../../board/index.js';
import { Accelerator } from '../../driver/index.js';
import { type FileSource, fileSource, openGguf } from '../../gguf/index.js';
import { CORE_TYPES_SETTINGS, type CoreTypesSetting } from '../../llm/core-form/core-form.js';
import { chooseForms } from '../../llm/core-form/index.js';
import { coreUse, modelShape, weightLoss } from '../../llm/index.js';
import { openMockBoard } from '../../mock-device/index.js';
import { compareModel, type ReferenceCase, readReference } from './compare.js';

/*
 * What of models goes to the core by each setting of core types, what that takes and costs, and how far the results are from
 * llama.cpp's: the table of docs/accuracy.md. Exits with 1 where something is out of tolerance.
 *
 *     node dist/test/reference/core-types-main.js [--models DIR] [--board NAME] [--only REGEXP]
 *
 * DIR holds GGUF files; those without cases in its `reference.json` are not compared.
 */

const HEAD = [
  '| model | core types | multiply-adds on the core | core cycles a token | extra bytes | loss of weights | median difference | worst difference | median difference from float32 | greedy tokens equal (of these required) | within tolerance |',
  '|---|---|---|---|---|---|---|---|---|---|---|',
];

function main(): void {
  const { values } = parseArgs({
    options: {
      models: { type: 'string', default: join('..', 'shared', 'kit') },
      board: { type: 'string', default: 'pynq-z1' },
      only: { type: 'string', default: String.raw`-d\d+-` },
    },
  });
  const board = loadBoardDescription(values.board);
  const only = new RegExp(values.only);
  const references = readReference(join(values.models, 'reference.json'));
  const floats = readReference(join(values.models, 'reference-float.json'));
  const files = readdirSync(values.models).filter((file) => file.endsWith('.gguf') && only.test(file));
  process.stdout.write(`${HEAD.join('\n')}\n`);
  for (const file of files)
    for (const setting of CORE_TYPES_SETTINGS) {
      const cases = { rounded: references.get(file) ?? [], floats: floats.get(file) ?? [] };
      process.stdout.write(`${rowOf(values.models, file, cases, board, setting)}\n`);
    }
}

/** What llama.cpp computes with a model, and with its weights as float32, which leaves activations as they are. */
interface Cases {
  readonly rounded: readonly ReferenceCase[];
  readonly floats: readonly ReferenceCase[];
}

function rowOf(
  folder: string,
  file: string,
  cases: Cases,
  board: BoardDescription,
  setting: CoreTypesSetting,
): string {
  using source = fileSource(join(folder, file));
  const { matrices } = modelShape(openGguf(source));
  const { share, cycles, extraBytes } = coreUse(matrices, board, setting);
  const words = cycles.words.toLocaleString('en');
  return [
    '',
    file,
    setting === 'padded' ? 'padded (default)' : setting,
    `${(100 * share).toFixed(1)} %`,
    cycles.words === cycles.hls ? words : `${words} to ${cycles.hls.toLocaleString('en')}`,
    extraBytes.toLocaleString('en'),
    worstLoss(source, board, setting),
    ...compared(folder, file, cases, board, setting),
    '',
  ]
    .join(' | ')
    .trim();
}

/** Of all matrices that have another form. */
function worstLoss(source: FileSource, board: BoardDescription, setting: CoreTypesSetting): string {
  const gguf = openGguf(source);
  let worst = 0;
  for (const { tensor, form } of chooseForms(board, [...gguf.tensors.values()], setting)) {
    const stored = gguf.tensors.get(tensor.name);
    const isMatrix = tensor.rows > 1 && /\.weight$/.test(tensor.name);
    if (form !== undefined && stored !== undefined && isMatrix)
      worst = Math.max(worst, weightLoss(gguf, stored, form));
  }
  return worst === 0 ? '0' : worst.toExponential(1);
}

function compared(
  folder: string,
  file: string,
  { rounded, floats }: Cases,
  board: BoardDescription,
  setting: CoreTypesSetting,
): string[] {
  if (rounded.length === 0) return ['', '', '', '', ''];
  const accelerator = new Accelerator(openMockBoard(board));
  const found = compareModel(folder, file, rounded, accelerator, false, setting);
  const fromFloats =
    floats.length === 0 ? undefined : compareModel(folder, file, floats, accelerator, false, setting);
  accelerator.close();
  for (const failure of found.failures) process.stderr.write(`${file} by ${setting}: ${failure}\n`);
  if (found.failures.length > 0) process.exitCode = 1;
  return [
    found.median.toFixed(5),
    found.worst.toFixed(3),
    fromFloats?.median.toFixed(3) ?? '',
    `${found.greedyEqual} of ${found.greedyTotal} (${found.greedyRequired})`,
    found.failures.length === 0 ? 'yes' : 'no',
  ];
}

main();
