import { describe, expect, it } from 'vitest';
import {
  AnswerLengths,
  type BoardView,
  predict,
  release,
  steal,
  type Waiting,
  type Work,
} from '../../../../fleet/index.js';

const board = (name: string, change: Partial<BoardView> = {}): BoardView => ({
  name,
  stepMs: (columns) => 100 + 10 * columns,
  promptColumns: 16,
  places: 8,
  isDraining: false,
  work: [],
  ...change,
});
const waiting = (
  id: number,
  found: Readonly<Record<string, number>> = {},
  change: Partial<Waiting> = {},
): Waiting => ({
  id,
  promptTokens: 320,
  expectedTokens: 100,
  found: (name) => found[name] ?? 0,
  ...change,
});
const work = (id: number, change: Partial<Work> = {}): Work => ({
  id,
  promptLeft: 0,
  expectedLeft: 50,
  begun: true,
  ...change,
});

describe('where a request goes', () => {
  it('is the board that holds its pages, unless that board has too much to do', () => {
    const boards = [board('a'), board('b')];
    expect(release([waiting(1, { b: 304 })], boards).released).toEqual([{ id: 1, board: 'b' }]);
    const busy = Array.from({ length: 8 }, (_, i) => work(10 + i, { expectedLeft: 400 }));
    const { released } = release([waiting(1, { b: 304 })], [board('a'), board('b', { work: busy })]);
    expect(released).toEqual([{ id: 1, board: 'a' }]);
  });

  it('is the faster board by its own timing, also where the slower one is idle', () => {
    const slow = board('slow', { stepMs: (columns) => 5 * (100 + 10 * columns) });
    const fast = board('fast', { work: [work(9)] });
    expect(release([waiting(1)], [slow, fast]).released).toEqual([{ id: 1, board: 'fast' }]);
  });

  it('is never a board that drains', () => {
    const boards = [board('a', { isDraining: true }), board('b', { work: [work(9)] })];
    expect(release([waiting(1, { a: 304 })], boards).released).toEqual([{ id: 1, board: 'b' }]);
    expect(release([waiting(1)], [boards[0]!]).released).toEqual([]);
  });

  it('is decided late: who would only queue there waits, and those behind it use idle boards', () => {
    const long = board('long', { work: [work(9, { promptLeft: 64 })] });
    const { released, meantFor } = release([waiting(1, { long: 319 }), waiting(2)], [long, board('idle')]);
    expect(meantFor.get(1)).toBe('long');
    expect(released).toEqual([{ id: 2, board: 'idle' }]);
  });

  it('changes only for a board that is clearly better', () => {
    const [a, b] = [board('a', { work: [work(8), work(9)] }), board('b')];
    expect(release([waiting(1)], [a, b]).released[0]?.board).toBe('b');
    expect(release([waiting(1, {}, { meantFor: 'a' })], [a, b]).released[0]?.board).toBe('a');
    expect(release([waiting(1, { b: 304 }, { meantFor: 'a' })], [a, b]).released[0]?.board).toBe('b');
  });

  it('spreads requests over boards that are as good', () => {
    const boards = ['a', 'b', 'c'].map((name) => board(name));
    const chosen = [0, 1, 2].map((id) => release([waiting(id)], boards).released[0]?.board);
    expect(new Set(chosen).size).toBe(3);
  });
});

describe('what is predicted', () => {
  it('counts own prompt, prompts before it, and the tokens beside them', () => {
    expect(predict(board('a'), 16)).toEqual({ firstTokenMs: 260, promptMs: 260 });
    const behind = board('a', { work: [work(1), work(2, { promptLeft: 32 })] });
    // Two steps of 17 columns, then one of 18.
    expect(predict(behind, 16)).toEqual({ firstTokenMs: 270 * 2 + 280, promptMs: 280 });
  });

  it('waits for an answer to end where all places are taken', () => {
    const full = board('a', {
      places: 2,
      work: [work(1, { expectedLeft: 30 }), work(2, { expectedLeft: 10 })],
    });
    expect(predict(full, 16).firstTokenMs).toBe(10 * 120 + 270);
  });

  it('takes an answer for as long as others became that were as long', () => {
    const lengths = new AnswerLengths();
    expect(lengths.expectedLeft(0)).toBe(128);
    for (const length of [10, 10, 10, 10, 200, 200, 200, 200]) lengths.ended(length);
    expect(lengths.expectedLeft(0)).toBe(105);
    expect(lengths.expectedLeft(50)).toBe(150);
    expect(lengths.expectedLeft(50, 80)).toBe(30);
    expect(lengths.expectedLeft(300)).toBe(300);
  });
});

describe('what is taken back', () => {
  const queue = [work(1, { promptLeft: 320 }), work(2, { promptLeft: 320, begun: false })];
  const promptOn = () => 320;

  it('is what has not begun and would begin much earlier elsewhere', () => {
    expect(steal([board('a', { work: queue }), board('b')], promptOn)).toEqual({ id: 2, from: 'a', to: 'b' });
  });

  it('is nothing that has begun, that gains little, or that would go where nothing new may', () => {
    const begun = queue.map((one) => ({ ...one, begun: true }));
    expect(steal([board('a', { work: begun }), board('b')], promptOn)).toBeUndefined();
    expect(steal([board('a', { work: queue }), board('b', { isDraining: true })], promptOn)).toBeUndefined();
    expect(
      steal([board('a', { work: queue }), board('b', { work: queue.slice(0, 1) })], promptOn),
    ).toBeUndefined();
  });
});
