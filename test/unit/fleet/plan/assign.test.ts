import { describe, expect, it } from 'vitest';
import { loadBoardDescription, withDmaMemory } from '../../../../board/index.js';
import { assignPipelines } from '../../../../fleet/plan/assign.js';
import { TINY_LLAMA } from '../models.js';

/** A PYNQ-Z1 with so many MiB for DMA. */
const pynq = (mib: 128 | 256) => loadBoardDescription(`pynq-z1-${mib}`);
const boards = (count: number, mib: 128 | 256, first = 0) =>
  Array.from({ length: count }, (_, i) => ({ name: `b${first + i}`, description: pynq(mib) }));
const names = (found: ReturnType<typeof assignPipelines>) =>
  found.map((one) => one.boards.map(({ name }) => name));

describe('boards are formed into pipelines', () => {
  it('of as many as they are told, side by side; those left over have nothing', () => {
    const found = assignPipelines(TINY_LLAMA, boards(5, 256), 2, {});
    expect(names(found)).toEqual([
      ['b0', 'b1'],
      ['b2', 'b3'],
    ]);
    expect(found[0]?.plan.stages.map(({ from, to }) => [from, to])).toEqual([
      [0, 12],
      [12, 22],
    ]);
  });

  it('of fewer only where they may be, and fit', () => {
    expect(assignPipelines(TINY_LLAMA, boards(3, 256), 4, {})).toEqual([]);
    expect(names(assignPipelines(TINY_LLAMA, boards(3, 256), 4, {}, true))).toEqual([['b0', 'b1', 'b2']]);
    expect(() => assignPipelines(TINY_LLAMA, boards(3, 128), 4, {}, true)).toThrow(/does not fit 3 boards/);
  });

  it('of as few as the model needs, and leave a board alone that can hold all of it', () => {
    const description = withDmaMemory(loadBoardDescription('kv260-2026-v3'), 512 * 2 ** 20)!;
    const kv260 = { name: 'large', description };
    const found = assignPipelines(TINY_LLAMA, [...boards(2, 256), kv260, ...boards(2, 256, 2)], 'auto', {});
    expect(names(found)).toEqual([['large'], ['b0', 'b1'], ['b2', 'b3']]);
    expect(names(assignPipelines(TINY_LLAMA, boards(5, 128), 'auto', {}))).toEqual([
      ['b0', 'b1', 'b2', 'b3'],
    ]);
    expect(() => assignPipelines(TINY_LLAMA, boards(1, 128), 'auto', {})).toThrow(/does not fit 1 board/);
  });

  it('with each stage on a board of its kind', () => {
    const kv260 = { name: 'large', description: loadBoardDescription('kv260-2026-v3') };
    const mixed = [...boards(1, 256), kv260, ...boards(1, 256, 2)];
    const [found] = assignPipelines(TINY_LLAMA, mixed, 3, {});
    expect([...names([found!]).flat()].sort()).toEqual(['b0', 'b2', 'large']);
    for (const [i, { board }] of found!.plan.stages.entries())
      expect(found!.boards[i]?.description.name).toBe(board);
  });
});
