import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../board/description-file.js';
import { Accelerator } from '../../driver/accelerator.js';
import { openMockBoard } from '../../mock-device/index.js';
import { compareModel, type ReferenceCase, readReference } from '../reference/compare.js';

function compareOnMock(folder: string, file: string, cases: readonly ReferenceCase[], board = 'pynq-z1') {
  const accelerator = new Accelerator(openMockBoard(loadBoardDescription(board)));
  const comparison = compareModel(folder, file, cases, accelerator);
  accelerator.close();
  return comparison;
}

describe('the bundled models compute what llama.cpp computes', () => {
  const reference = readReference(join('test', 'reference', 'bundled.json'));

  it.each([...reference])('%s on the mock', (file, cases) => {
    expect(compareOnMock('models', file, cases).failures).toEqual([]);
  });

  it('on the CPU the numbers are the mock’s, to the bit', () => {
    const [[file, cases]] = [...reference];
    expect(compareModel('models', file, cases.slice(0, 2), undefined)).toEqual(
      compareOnMock('models', file, cases.slice(0, 2)),
    );
  });

  it('on a v1 board, which leaves Q4_K and Q5_K to the CPU, the numbers are the same', () => {
    const file = 'tiny-stories-Q3_K_M.gguf';
    const cases = reference.get(file)!.slice(0, 2);
    expect(compareOnMock('models', file, cases, 'pynq-z1-v1')).toEqual(compareOnMock('models', file, cases));
  });
});

describe.each([join('..', 'shared', 'models'), join('..', 'shared', 'models', 'third-party')])(
  'all models of %s',
  (folder) => {
    const reference = readReference(join(folder, 'reference.json'));

    it.skipIf(reference.size > 0)(`skipped: ${folder} is not there`, ({ skip }) => skip());

    it.skipIf(!existsSync(folder)).each([...reference])(
      '%s computes what llama.cpp computes',
      (file, cases) => {
        expect(compareOnMock(folder, file, cases).failures).toEqual([]);
      },
    );
  },
);
