import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadBoardDescription } from '../../board/description-file.js';
import { Accelerator } from '../../driver/accelerator.js';
import { openMockBoard } from '../../mock-device/index.js';
import { compareModel, type ModelComparison, markdownTable, readReference } from './compare.js';

/**
 * Compares models with what llama.cpp computed and prints a Markdown table for the documentation; exits with 1 where
 * something is out of tolerance.
 *
 *     node dist/test/reference/check-reference.js [--models DIR] [--device mock|mock:BOARD|cpu] [--only TEXT]
 *
 * DIR holds the GGUF files and `reference.json`, and may hold the same again in `third-party/`.
 */
function main(): void {
  const { values } = parseArgs({
    options: {
      models: { type: 'string', default: join('..', 'shared', 'models') },
      device: { type: 'string', default: 'mock' },
      only: { type: 'string', default: '' },
    },
  });
  const rows: ModelComparison[] = [];
  for (const folder of [values.models, join(values.models, 'third-party')]) {
    for (const [file, cases] of readReference(join(folder, 'reference.json'))) {
      if (!file.includes(values.only)) continue;
      const accelerator = openAccelerator(values.device);
      rows.push(compareModel(folder, file, cases, accelerator));
      accelerator?.close();
    }
  }
  if (rows.length === 0) {
    process.stderr.write(`There is no reference.json with models of this name in ${values.models}.\n`);
    process.exitCode = 2;
    return;
  }
  process.stdout.write(`${markdownTable(rows)}\n`);
  for (const { model, failures } of rows) {
    for (const failure of failures) process.stderr.write(`${model}: ${failure}\n`);
  }
  process.exitCode = rows.some(({ failures }) => failures.length > 0) ? 1 : 0;
}

function openAccelerator(device: string): Accelerator | undefined {
  if (device === 'cpu') return undefined;
  return new Accelerator(openMockBoard(loadBoardDescription(device.replace(/^mock:?/, '') || 'pynq-z1')));
}

main();
