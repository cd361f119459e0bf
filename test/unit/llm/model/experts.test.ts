import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { loadBoardDescription } from '../../../../board/description-file.js';
import { Accelerator } from '../../../../driver/accelerator.js';
import { fileSource, openGguf } from '../../../../gguf/index.js';
import { LinearGroup } from '../../../../llm/model/linear-group.js';
import { loadModel } from '../../../../llm/model/load-model.js';
import type { Model } from '../../../../llm/model/model.js';
import { openMockBoard } from '../../../../mock-device/index.js';
import { changed, logitsOf } from '../models.js';
import { expectSameBits } from '../same-bits.js';

/** Rows of whole super-blocks, which the core takes. */
const ON_CORE = join('..', 'shared', 'kit', 'qwen3moe-Q2_K.gguf');
const FILE = join('test', 'fixtures', 'families', 'qwen3moe-f16.gguf');
const open = () => openGguf(fileSource(FILE));
const TOKENS = Array.from({ length: 11 }, (_, i) => 3 + ((i * 41) % 250));

afterEach(() => {
  vi.restoreAllMocks();
});

/** Multiply-adds of a column that wants logits: matrices of all layers, with the experts that it uses of each. */
function columnWork({ config }: Model): number {
  const { embedding, heads, kvHeads, headDim, feedForward, experts, layers, vocabSize } = config;
  const attention = embedding * headDim * (2 * heads + 2 * kvHeads);
  const { count, used } = experts!;
  return (
    layers * (attention + count * embedding + used * 3 * embedding * feedForward) + vocabSize * embedding
  );
}

describe('a mixture of experts', () => {
  it.each([1, 2, 3, 4])('multiplies with the %s experts of each column that its router chose', (used) => {
    const gguf = changed(open(), { 'qwen3moe.expert_used_count': used });
    const model = loadModel(gguf, { maxColumns: 16 });
    const before = model.cost().cpuMultiplyAdds;
    logitsOf(model, TOKENS);
    expect(model.cost().cpuMultiplyAdds - before).toBe(TOKENS.length * columnWork(model));
    model.close();
  });

  it('has no expert run that nobody chose', () => {
    const model = loadModel(open(), { maxColumns: 16 });
    const multiply = vi.spyOn(LinearGroup.prototype, 'multiply');
    logitsOf(model, TOKENS.slice(0, 1));
    const { layers, experts } = model.config;
    // Of a layer Q, K and V together, the output of attention, the router, and two groups an expert; and the logits.
    expect(multiply).toHaveBeenCalledTimes(layers * (3 + 2 * experts!.used) + 1);
    multiply.mockClear();
    logitsOf(model, TOKENS);
    // Columns that chose the same one go through it together.
    expect(multiply.mock.calls.length).toBeLessThanOrEqual(layers * (3 + 2 * experts!.count) + 1);
    model.close();
  });

  it.skipIf(!existsSync(ON_CORE))(
    'has them as programs of the core, with the bits of the CPU (needs ../shared/kit)',
    () => {
      const gguf = openGguf(fileSource(ON_CORE));
      const accelerator = new Accelerator(openMockBoard(loadBoardDescription('pynq-z1')));
      const [onCore, onCpu] = [
        loadModel(gguf, { accelerator, maxColumns: 16 }),
        loadModel(gguf, { maxColumns: 16 }),
      ];
      const before = onCore.cost();
      const together = logitsOf(onCore, TOKENS);
      const after = onCore.cost();
      const core = after.coreMultiplyAdds - before.coreMultiplyAdds;
      const cpu = after.cpuMultiplyAdds - before.cpuMultiplyAdds;
      expect(core + cpu).toBe(TOKENS.length * columnWork(onCore));
      expect(core).toBeGreaterThan(0.8 * (core + cpu));
      const [alone, others] = [logitsOf(onCore, TOKENS, false), logitsOf(onCpu, TOKENS)];
      for (const [i, logits] of together.entries()) {
        expectSameBits(logits, alone[i]);
        expectSameBits(logits, others[i]);
      }
      onCore.close();
      onCpu.close();
      accelerator.close();
    },
  );
});
