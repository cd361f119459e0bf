import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type BoardDescription, loadBoardDescription } from '../../../../board/index.js';
import { emptyMemory } from '../../../../driver/index.js';
import { fileSource, GgmlType, openGguf, rowBytes } from '../../../../gguf/index.js';
import { chooseForms } from '../../../../llm/core-form/choose-forms.js';
import { type CoreTypesSetting, checkCoreTypes } from '../../../../llm/core-form/core-form.js';
import { coreUse } from '../../../../llm/core-form/core-use.js';
import { budgetMemory, modelShape } from '../../../../llm/memory/index.js';

const Z1 = loadBoardDescription('pynq-z1');
const shape = (type: GgmlType, rows: number, columns: number, name = 'a.weight') => ({
  name,
  type,
  rows,
  columns,
});
const choose = (type: GgmlType, setting: CoreTypesSetting, columns = 96, board: BoardDescription = Z1) =>
  chooseForms(board, [shape(type, 64, columns)], setting)[0];

describe('what of a matrix goes to the core', () => {
  it('is by exact what it takes as it is', () => {
    expect(choose(GgmlType.Q3_K, 'exact', 256)).toMatchObject({ form: { made: 'stored', columns: 256 } });
    for (const type of [GgmlType.Q4_0, GgmlType.Q8_0, GgmlType.F16])
      expect(choose(type, 'exact').form).toBeUndefined();
  });

  it.each([
    [GgmlType.Q4_0, 'integers', 1],
    [GgmlType.Q5_0, 'integers', 1],
    [GgmlType.Q8_0, 'rounded', 2],
    [GgmlType.Q4_1, 'rounded', 2],
    [GgmlType.Q5_1, 'rounded', 2],
    [GgmlType.IQ4_NL, 'rounded', 2],
  ] as const)('is of type %i by default made of Q6_K, padded', (type, made, parts) => {
    const { form, shape } = choose(type, 'padded', 576);
    expect(form).toEqual({ made, parts, type: GgmlType.Q6_K, columns: parts * 768 });
    expect(shape).toMatchObject({ type: GgmlType.Q6_K, rows: 64, columns: parts * 768 });
  });

  it.each([GgmlType.F16, GgmlType.F32, GgmlType.BF16, GgmlType.MXFP4, GgmlType.IQ2_S, GgmlType.TQ1_0])(
    'is of type %i something by all alone',
    (type) => {
      expect(choose(type, 'padded', 256).form).toBeUndefined();
      expect(choose(type, 'all', 256).form).toBeDefined();
    },
  );

  it('is nothing where the CPU is faster than two parts, which is said with both times', () => {
    const slow = { ...Z1, clockHz: 1_000_000 };
    const { form, shape, reason } = choose(GgmlType.Q8_0, 'padded', 96, slow);
    expect(form).toBeUndefined();
    expect(shape.type).toBe(GgmlType.Q8_0);
    expect(reason).toMatch(/^two parts would take the core .* ms, one CPU core .* ms$/);
    // One part and all are not weighed.
    expect(choose(GgmlType.Q5_0, 'padded', 96, slow).form).toBeDefined();
    expect(choose(GgmlType.Q8_0, 'all', 96, slow).form).toBeDefined();
  });

  it('is nothing on a bitstream without Q6_K, or of rows that are too long', () => {
    const { form, reason } = choose(GgmlType.Q5_0, 'all', 96, { ...Z1, weightTypes: [2, 3] });
    expect(form).toBeUndefined();
    expect(reason).toBe('as Q6_K: the bitstream was built without Q6_K');
    expect(choose(GgmlType.Q8_0, 'all', 65_536 + 32).reason).toMatch(/^as Q6_K: a row of/);
  });

  it('has to be said in a known way', () => {
    expect(checkCoreTypes(undefined)).toBe('padded');
    expect(() => checkCoreTypes('most')).toThrow(/LLM_CORE_TYPES.*"most"/);
  });
});

describe('what a token uses of the core', () => {
  const file = join('test', 'fixtures', 'families', 'qwen2-d96-Q4_K_M.gguf');
  const { matrices } = modelShape(openGguf(fileSource(file)));
  const [exact, padded, all] = (['exact', 'padded', 'all'] as const).map((setting) =>
    coreUse(matrices, Z1, setting),
  );

  it('grows with what goes there, up to all of it', () => {
    expect(exact.share).toBeLessThan(0.25);
    expect(padded.share).toBeGreaterThan(0.8);
    expect(all.share).toBe(1);
    expect(exact.multiplyAdds).toBe(matrices.reduce((sum, { rows, columns }) => sum + rows * columns, 0));
    expect(exact.extraBytes).toBe(0);
    expect(padded.cycles.words).toBeGreaterThan(exact.cycles.words);
    expect(all.cycles.hls).toBeGreaterThan(all.cycles.words);
  });

  it('takes as many bytes more as blocks do', () => {
    const { extraBytes } = coreUse([shape(GgmlType.Q5_0, 10, 96)], Z1);
    expect(extraBytes).toBe(10 * (53 * 4 - rowBytes(GgmlType.Q5_0, 96)));
  });

  it('is of experts what a token chooses', () => {
    const some = coreUse([shape(GgmlType.Q4_K, 8, 256, 'blk.0.ffn_up_exps.weight:1')], Z1, 'exact', 0.25);
    expect(some).toMatchObject({ multiplyAdds: 512, onCore: 512, share: 1 });
  });
});

describe('a model that has no room for what it becomes', () => {
  const file = join('test', 'fixtures', 'families', 'qwen2-d96-Q4_K_M.gguf');
  const model = modelShape(openGguf(fileSource(file)));
  const budgetOf = (size: number, coreTypes?: CoreTypesSetting) => {
    const board = { ...Z1, dmaMemory: [{ base: 0, size }] };
    return budgetMemory({
      model,
      board: { description: board, dma: emptyMemory(board) },
      system: { available: 1e9, source: 'a test', uploads: 0, isMock: false },
      request: { coreTypes },
    });
  };

  it('is refused, and told which smaller choice has room', () => {
    const needs = budgetOf(1e9).dma.need;
    const exact = budgetOf(1e9, 'exact').dma.need;
    expect(needs - exact).toBeGreaterThan(200_000);
    const size = Math.ceil((exact + needs) / 2 / 4096) * 4096;
    expect(budgetOf(size)).toMatchObject({ refusal: 'LLM_MEMORY_DMA' });
    expect(budgetOf(size).fits.join()).toContain('--exact-types');
    expect(budgetOf(size, 'exact').refusal).toBeUndefined();
    expect(budgetOf(size, 'exact').fits).toEqual([]);
  });

  it('counts on the CPU what stays there', () => {
    const cpu = (coreTypes: CoreTypesSetting) =>
      budgetOf(1e9, coreTypes).lines.find(({ what }) => what.includes('does not take'))?.bytes ?? 0;
    expect(cpu('all')).toBe(0);
    expect(cpu('exact')).toBeGreaterThan(cpu('padded'));
  });
});
