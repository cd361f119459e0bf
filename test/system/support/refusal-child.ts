import { rmSync } from 'node:fs';
import { readModelToPlan } from '../../../agent/plan-on-board.js';
import { shapeOf } from '../../../agent/worker/plan-model.js';
import { endWindow } from '../../../bench/board/marks.js';
import { loadBoardDescription } from '../../../board/index.js';
import { emptyMemory } from '../../../driver/index.js';
import { isPynqLlmError } from '../../../errors/index.js';
import { fileSource } from '../../../gguf/index.js';
import { budgetMemory, requireMemory } from '../../../llm/index.js';
import { writeTinyLlama } from '../../unit/llm/memory/sparse-model.js';

/** Refuses TinyLlama in Q3_K_S on a PYNQ-Z1, by what a client says of it: each refusal is a window of the counts. */
const [file, refusals] = process.argv.slice(2);
const MEBI = 2 ** 20;
const description = loadBoardDescription('pynq-z1-360');
writeTinyLlama(file);
const source = fileSource(file);
const { model, tensors } = readModelToPlan(source);
source.close();
rmSync(file);
endWindow();
for (let i = 0; i < Number(refusals); i++) {
  try {
    requireMemory(
      budgetMemory({
        model: shapeOf(model, [...tensors]),
        board: { description, dma: emptyMemory(description) },
        system: { available: 60 * MEBI, source: 'the test', uploads: 8 * MEBI, isMock: false },
        request: { contextLength: 128, staged: false },
      }),
    );
  } catch (error) {
    if (!isPynqLlmError(error, 'LLM_MEMORY_DMA')) throw error;
    process.stdout.write('refused\n');
  }
  endWindow();
}
