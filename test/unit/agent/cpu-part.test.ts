import { availableParallelism } from 'node:os';
import { expect, it } from 'vitest';
import { chooseCpuPart } from '../../../agent/worker/cpu-part.js';
import { loadBoardDescription } from '../../../board/index.js';
import { emptyMemory, planPlacement } from '../../../driver/placement.js';
import { openGguf } from '../../../gguf/index.js';
import { budgetMemory, type MemoryRequest, modelShape } from '../../../llm/index.js';
import { SMALLEST, tinyLlama } from '../llm/memory/sparse-model.js';

const MEBI = 2 ** 20;
const board = loadBoardDescription('pynq-z1-360');
const model = modelShape(openGguf(tinyLlama(SMALLEST)));
const placement = planPlacement(board, emptyMemory(board), model.matrices);

/** What is chosen where Linux has so many MiB for a model that is loaded so. */
function choose(mebi: number, settings: Parameters<typeof chooseCpuPart>[0], request: MemoryRequest = {}) {
  const system = { available: mebi * MEBI, source: 'a test', uploads: 8 * MEBI, isMock: false };
  return chooseCpuPart(
    settings,
    () => model.matrices,
    () => placement,
    board,
    (part) =>
      budgetMemory({
        model,
        board: { description: board, dma: emptyMemory(board) },
        system,
        request: { contextLength: 128, ...request, ...part },
      }),
  );
}

const rowsLine = (chosen: ReturnType<typeof choose>) =>
  chosen.budget.lines.find(({ what }) => what.startsWith('rows'))?.bytes ?? 0;
const workLine = (chosen: ReturnType<typeof choose>) =>
  chosen.budget.lines.find(({ what }) => what.startsWith('inputs and results'))?.bytes ?? 0;

it('rows go to threads where the device takes time and there is memory, and are in the sum', () => {
  const chosen = choose(2000, { threads: 2, takesRealTime: true });
  expect(chosen.threads).toBe(2);
  expect(chosen.rows.size).toBeGreaterThan(100);
  expect(rowsLine(chosen)).toBeGreaterThan(MEBI);
  expect(workLine(chosen)).toBeGreaterThan(MEBI);
  expect(choose(2000, { threads: 2 }).rows.size).toBe(0);
  expect(choose(2000, { threads: 1, takesRealTime: true }).rows.size).toBe(0);
});

it('rows take nothing from keys and values', () => {
  const without = choose(100, { threads: 2 });
  const chosen = choose(100, { threads: 2, takesRealTime: true });
  expect(chosen.rows.size).toBe(0);
  expect(chosen.budget.kvBytes).toBe(without.budget.kvBytes);
});

it('threads that nobody asked for are left out where they do not fit; those that were, are refused', () => {
  const least = choose(2000, { threads: 1 }, { kvBytes: 8 * MEBI }).budget.system.need / MEBI + 1;
  const request = { kvBytes: 8 * MEBI };
  expect(choose(least, {}, request)).toMatchObject({ threads: 1, budget: { short: undefined } });
  expect(choose(least, { threads: 2 }, request)).toMatchObject({ threads: 2, budget: { short: 'system' } });
  expect(choose(4000, {}, request).threads).toBe(Math.min(64, availableParallelism()));
});
