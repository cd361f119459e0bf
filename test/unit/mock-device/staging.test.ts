import { afterEach, expect, it, vi } from 'vitest';
import { loadBoardDescription } from '../../../board/description-file.js';
import { Accelerator } from '../../../driver/accelerator.js';
import { GgmlType } from '../../../gguf/types.js';
import { WeightLoad } from '../../../mock-device/core/weight-load.js';
import { openMockBoard } from '../../../mock-device/index.js';

afterEach(() => {
  vi.restoreAllMocks();
});

it('the mock copies no weights while the driver stages the next tile', () => {
  const accelerator = new Accelerator(openMockBoard(loadBoardDescription('pynq-z1')));
  const rows = 20 * 128;
  const shape = { name: 'w', type: GgmlType.Q3_K, rows, columns: 2048, readRows: () => {} };
  const program = accelerator.load(shape, 'staged');
  const keep = vi.spyOn(WeightLoad.prototype, 'keep');
  accelerator.multiply([program], 1, (blocks) => void blocks.fill(1), [new Float32Array(rows)]);
  expect(keep).toHaveBeenCalled();
  for (const load of keep.mock.contexts as WeightLoad[]) expect(load.isInPlace).toBe(true);
});
