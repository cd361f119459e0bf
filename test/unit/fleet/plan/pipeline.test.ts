import { describe, expect, it } from 'vitest';
import { dmaBytes, loadBoardDescription } from '../../../../board/index.js';
import { planPipeline } from '../../../../fleet/index.js';
import { boardsOf, IN_F16, refusalOf, TINY_LLAMA } from '../models.js';

const layersOf = ({ stages }: ReturnType<typeof planPipeline>) => stages.map(({ from, to }) => to - from);

describe('a pipeline of TinyLlama-1.1B Q3_K_S', () => {
  it.each(['synthesised', 'systemc'] as const)('is cut as memory and cycles have it, %s', (timing) => {
    const of = (count: number, name: string) =>
      planPipeline(
        TINY_LLAMA,
        boardsOf(count, name).map((board) => ({ ...board, timing })),
      );
    expect(layersOf(of(2, 'pynq-z1-256'))).toEqual([12, 10]);
    expect(layersOf(of(4, 'pynq-z1-128'))).toEqual([6, 6, 6, 4]);
    expect(layersOf(of(8, 'pynq-z1-128'))).toEqual([3, 3, 3, 3, 3, 3, 3, 1]);
  });

  it('has all of its weights resident within each board, without staging buffers, and the output matrix last', () => {
    const { stages, gain } = planPipeline(TINY_LLAMA, boardsOf(4, 'pynq-z1-128'));
    const has = dmaBytes(loadBoardDescription('pynq-z1-128'));
    for (const { memory } of stages) {
      expect(memory.working.staged).toBe(false);
      expect(memory.stagedBytes).toBe(0);
      expect(memory.dma.need).toBeLessThanOrEqual(has);
      expect(memory.short).toBeUndefined();
    }
    expect(stages.map(({ hasOutput }) => hasOutput)).toEqual([false, false, false, true]);
    expect(gain).toBeGreaterThan(3.9);
  });

  it('takes boards of several kinds, the faster one with more layers', () => {
    const { stages } = planPipeline(TINY_LLAMA, [...boardsOf(2, 'pynq-z1'), ...boardsOf(1, 'kv260-2026-v3')]);
    const layers = (name: string) =>
      stages.filter(({ board }) => board === name).map(({ from, to }) => to - from);
    expect(layers('kv260-2026-v3')[0]).toBeGreaterThan(Math.max(...layers('pynq-z1')));
    expect(stages.reduce((next, { from, to }) => (from === next ? to : -1), 0)).toBe(22);
  });

  it('that fits nowhere is refused with what would fit, and that does', () => {
    const boards = boardsOf(2, 'pynq-z1');
    const { code, message } = refusalOf(() => planPipeline(TINY_LLAMA, boards));
    expect(code).toBe('FLEET_PLAN_DOES_NOT_FIT');
    const count = Number(/(\d+) boards \(\d+ more of pynq-z1\)/.exec(message)?.[1]);
    expect(layersOf(planPipeline(TINY_LLAMA, boardsOf(count, 'pynq-z1')))).toHaveLength(count);
    expect(refusalOf(() => planPipeline(TINY_LLAMA, boardsOf(count - 1, 'pynq-z1'))).code).toBe(code);
    expect(message).toMatch(/--dma-memory \d+; boot with mem=/);
  });

  it('in F16, of which the core takes nothing, is balanced by what its matrices have', () => {
    const boards = boardsOf(4, 'kv260').map((one) => ({ ...one, memoryBytes: 2 ** 34 }));
    const plan = planPipeline(IN_F16, boards);
    expect(layersOf(plan)).toEqual([6, 6, 6, 4]);
    expect(plan).toMatchObject({ stepMs: 0, aloneMs: 0, gain: 1 });
  });

  it('has at most a board for each layer', () => {
    expect(refusalOf(() => planPipeline(TINY_LLAMA, boardsOf(23, 'pynq-z1'))).code).toBe(
      'FLEET_PLAN_TOO_MANY_BOARDS',
    );
  });
});
