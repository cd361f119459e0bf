import { expect, it } from 'vitest';
import { loadBoardDescription } from '../../../board/description-file.js';
import { Accelerator } from '../../../driver/accelerator.js';
import { GgmlType } from '../../../gguf/types.js';
import { openMockBoard } from '../../../mock-device/index.js';

it('the mock copies no weights while the driver stages the next tile', () => {
  const board = openMockBoard(loadBoardDescription('pynq-z1'));
  const accelerator = new Accelerator(board);
  const rows = 20 * 128;
  const shape = { name: 'w', type: GgmlType.Q3_K, rows, columns: 2048, readRows: () => {} };
  const program = accelerator.load(shape, 'staged');
  accelerator.multiply([program], 1, (blocks) => void blocks.fill(1), [new Float32Array(rows)]);
  expect(board.gatheredBytes).toBe(0);
});
