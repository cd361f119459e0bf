import { expect, it } from 'vitest';
import { loadBoardDescription } from '../../../../board/description-file.js';
import { Accelerator, leastMemory } from '../../../../driver/index.js';
import { fileSource, openGguf } from '../../../../gguf/index.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { testMemory } from '../../mock-device/external-memory.js';
import { logitsOf, TINY_STORIES } from '../models.js';

const pynq = loadBoardDescription('pynq-z1');

interface Generation {
  readonly bits: readonly string[];
  readonly cycles: number;
  readonly memoryBytes: number;
  readonly gatheredBytes: number;
}

/** The bits of a generation's logits, and what it took. */
function generate(size: number, isExternal: boolean): Generation {
  const dmaMemory = [{ base: pynq.dmaMemory[0].base, size }];
  const memory = isExternal ? testMemory(dmaMemory) : undefined;
  const board = openMockBoard({ ...pynq, dmaMemory }, { memory });
  const accelerator = new Accelerator(board);
  const model = loadModel(openGguf(fileSource(TINY_STORIES)), { accelerator, contextLength: 32 });
  const prefill = logitsOf(model, [1, 403, 407]);
  const decoded = logitsOf(model, [1, 403, 407, 261], false);
  const bits = [...prefill, ...decoded].map((logits) => Buffer.from(logits.buffer).toString('base64'));
  const { cycles, memoryBytes, gatheredBytes } = board;
  accelerator.close();
  board.close();
  return { bits, cycles, memoryBytes, gatheredBytes };
}

it.each([
  { size: 64 << 20, what: 'all weights resident', mostCopied: 0 },
  // A full tile, of which the core still holds rows behind a shorter last one, is copied once its staging buffer is needed.
  { size: leastMemory(pynq).bytes, what: 'weights staged', mostCopied: 706_560 },
])(
  'a model generates the same bits in the same cycles in memory of a board, $what',
  ({ size, mostCopied }) => {
    const external = generate(size, true);
    const own = generate(size, false);
    expect(external.bits).toEqual(own.bits);
    expect(external.cycles).toBe(own.cycles);
    expect(external.memoryBytes).toBeLessThan(16 << 20);
    // In memory of its own the mock's core reads weights and inputs where the DMA finds them.
    expect(own.gatheredBytes).toBeLessThanOrEqual(mostCopied);
    expect(external.gatheredBytes).toBeGreaterThan(0);
  },
);
