import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadBoardDescription } from '../../../board/description-file.js';
import { Accelerator } from '../../../driver/accelerator.js';
import { fileSource, openGguf } from '../../../gguf/index.js';
import { ARCHITECTURES } from '../../../llm/model/architectures.js';
import { openMockBoard } from '../../../mock-device/index.js';
import { compareModel, type ModelComparison, readReference } from '../compare.js';

/** Tiny models of all families with what llama.cpp computes; not in the repository. */
export const KIT = join('..', 'shared', 'kit');
/** What was measured on them: written by `npm run record:accuracy`, compared by test/long. */
export const RECORD = new URL('../../../../test/reference/models/accuracy.json', import.meta.url);

/** How a model of the kit compares with llama.cpp on a mock of a PYNQ-Z1. */
export interface Accuracy {
  readonly family: string;
  readonly median: number;
  readonly worst: number;
  readonly greedyRequired: number;
  readonly greedyEqual: number;
}

/** By the names of files. */
export type AccuracyRecord = Readonly<Record<string, Accuracy>>;

export function readAccuracy(): AccuracyRecord {
  return existsSync(RECORD) ? JSON.parse(readFileSync(RECORD, 'utf8')) : {};
}

/** What is recorded of a comparison: six places, of which nothing follows from the last. */
export function accuracyOf(family: string, comparison: ModelComparison): Accuracy {
  const { median, worst, greedyRequired, greedyEqual } = comparison;
  const rounded = (value: number) => Number(value.toFixed(6));
  return { family, median: rounded(median), worst: rounded(worst), greedyRequired, greedyEqual };
}

/** Compares all files of the kit that are of a family that is computed. */
export function measureAccuracy(onFile: (file: string) => void): AccuracyRecord {
  const measured: Record<string, Accuracy> = {};
  for (const [file, cases] of readReference(join(KIT, 'reference.json'))) {
    using source = fileSource(join(KIT, file));
    const family = String(openGguf(source).metadata.get('general.architecture'));
    if (!ARCHITECTURES.has(family)) continue;
    onFile(file);
    const accelerator = new Accelerator(openMockBoard(loadBoardDescription('pynq-z1')));
    measured[file] = accuracyOf(family, compareModel(KIT, file, cases, accelerator));
    accelerator.close();
  }
  return measured;
}
