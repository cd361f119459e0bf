import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../board/description-file.js';
import { Accelerator } from '../../driver/accelerator.js';
import { openMockBoard } from '../../mock-device/index.js';
import { compareModel, readReference } from '../reference/compare.js';
import { accuracyOf, KIT, readAccuracy } from '../reference/models/accuracy.js';

const reference = readReference(join(KIT, 'reference.json'));
const floatReference = readReference(join(KIT, 'reference-float.json'));

/** Files of which something has another form on the core. */
const OTHER_FORMS = [
  ['padded', /-d\d+-|^types\//],
  ['all', /-d\d+-|^types\/|-f16|moe/],
] as const;

describe('models of all families, with random weights', () => {
  it.skipIf(reference.size > 0)(`skipped: ${KIT} is not there`, ({ skip }) => skip());

  it.skipIf(!existsSync(KIT)).each([...reference])('%s computes what llama.cpp computes', (file, cases) => {
    const accelerator = new Accelerator(openMockBoard(loadBoardDescription('pynq-z1')));
    const comparison = compareModel(KIT, file, cases, accelerator);
    accelerator.close();
    expect(comparison.failures).toEqual([]);
    // What docs/models.md says; npm run record:accuracy writes it again.
    const recorded = readAccuracy()[file];
    expect(recorded).toEqual(accuracyOf(recorded?.family, comparison));
  });

  it
    .skipIf(!existsSync(KIT))
    .each(
      [...reference].flatMap(([file, cases]) =>
        OTHER_FORMS.filter(([, files]) => files.test(file)).map(([types]) => [file, types, cases] as const),
      ),
    )('%s by %s is within the tolerance of matrices in another form', (file, coreTypes, cases) => {
    const accelerator = new Accelerator(openMockBoard(loadBoardDescription('pynq-z1')));
    const { failures } = compareModel(KIT, file, cases, accelerator, false, coreTypes);
    accelerator.close();
    expect(failures).toEqual([]);
  });

  it.skipIf(!existsSync(KIT)).each([...floatReference])(
    '%s computes with float32 activations what llama.cpp computes with its weights as float32',
    (file, cases) => {
      expect(compareModel(KIT, file, cases, undefined, true).failures).toEqual([]);
    },
  );
});
