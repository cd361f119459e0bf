import { expect, it } from 'vitest';
import { loadBoardDescription } from '../../../../board/description-file.js';
import { Accelerator, leastMemory } from '../../../../driver/index.js';
import { fileSource, openGguf } from '../../../../gguf/index.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { testMemory } from '../../mock-device/external-memory.js';
import { logitsOf, TINY_STORIES } from '../models.js';

const pynq = loadBoardDescription('pynq-z1');

/** The bits of a generation's logits, and what it took. */
function generate(
  size: number,
  isExternal: boolean,
): { bits: string[]; cycles: number; memoryBytes: number } {
  const dmaMemory = [{ base: pynq.dmaMemory[0].base, size }];
  const memory = isExternal ? testMemory(dmaMemory) : undefined;
  const board = openMockBoard({ ...pynq, dmaMemory }, { memory });
  const accelerator = new Accelerator(board);
  const model = loadModel(openGguf(fileSource(TINY_STORIES)), { accelerator, contextLength: 32 });
  const prefill = logitsOf(model, [1, 403, 407]);
  const decoded = logitsOf(model, [1, 403, 407, 261], false);
  const bits = [...prefill, ...decoded].map((logits) => Buffer.from(logits.buffer).toString('base64'));
  const { cycles, memoryBytes } = board;
  accelerator.close();
  board.close();
  return { bits, cycles, memoryBytes };
}

it.each([
  ['all weights resident', 64 << 20],
  ['weights staged', leastMemory(pynq).bytes],
])('a model generates the same bits in the same cycles in memory of a board, %s', (_, size) => {
  const external = generate(size, true);
  const { memoryBytes: _own, ...own } = generate(size, false);
  expect(external).toMatchObject(own);
  expect(external.memoryBytes).toBeLessThan(16 << 20);
});
