import { describe, expect, it } from 'vitest';
import { type BoardView, move, predict, predictEnds, type Work } from '../../../../fleet/index.js';

/** A core that computes column by column: steps of many sequences take as much longer. */
const computes = (columns: number) => 10 + 100 * columns;
/** One that waits for its weights, however many sequences share them. */
const loads = (columns: number) => 400 + columns;

const board = (name: string, change: Partial<BoardView> = {}): BoardView => ({
  name,
  stepMs: computes,
  promptColumns: 16,
  places: 8,
  isDraining: false,
  work: [],
  ...change,
});
const running = (ids: readonly number[], expectedLeft = 100): Work[] =>
  ids.map((id) => ({ id, promptLeft: 0, expectedLeft, begun: true }));
const promptOn = (tokens: number) => () => tokens;

describe('the ends of what a board has in hand', () => {
  it('are those of its answers, each step shared by who is still there, and prompts come first', () => {
    const work = [
      ...running([1], 10),
      ...running([2], 4),
      { id: 3, promptLeft: 16, expectedLeft: 5, begun: false },
    ];
    const ends = predictEnds(board('a', { work }));
    // One step of 18 columns, then three of three, two of two and one answer's last four.
    expect(ends.get(2)).toBe(computes(18) + 3 * computes(3));
    expect(ends.get(3)).toBe(ends.get(2)! + 2 * computes(2));
    expect(ends.get(1)).toBe(ends.get(3)! + 4 * computes(1));
  });

  it('come no earlier than the first token that is predicted for who would come next', () => {
    const full = board('a', { places: 2, work: running([1, 2], 30) });
    expect(predict(full, 16).firstTokenMs).toBeGreaterThan(Math.min(...predictEnds(full).values()));
  });
});

describe('what runs goes on elsewhere', () => {
  it('when a board has joined that ends it in half of the time', () => {
    const a = board('a', { work: running([1, 2, 3, 4]) });
    expect(move([a, board('b')], promptOn(48))).toMatchObject({ from: 'a', to: 'b' });
  });

  it('not where the prefill eats what it gains', () => {
    const a = board('a', { work: running([1, 2, 3, 4], 20) });
    expect(move([a, board('b')], promptOn(640))).toBeUndefined();
  });

  it('not where sequences share the weights of a step: then the other board is no faster', () => {
    const a = board('a', { stepMs: loads, work: running([1, 2, 3, 4]) });
    expect(move([a, board('b', { stepMs: loads })], promptOn(48))).toBeUndefined();
  });

  it('not where it may not go, where it has not begun, nor back and forth', () => {
    const a = board('a', { work: running([1, 2, 3, 4]) });
    expect(move([a, board('b')], () => undefined)).toBeUndefined();
    const waiting = a.work.map((one) => ({ ...one, begun: false, promptLeft: 16 }));
    expect(move([{ ...a, work: waiting }, board('b')], promptOn(48))).toBeUndefined();
    const [one, two] = [board('a', { work: running([1, 2, 3]) }), board('b', { work: running([4, 5]) })];
    expect(move([one, two], promptOn(48))).toBeUndefined();
  });

  it('from a board that drains where it goes on sooner than it would have ended, the one that gains most first', () => {
    const a = board('a', { isDraining: true, work: [...running([1], 3), ...running([2], 200)] });
    expect(move([a, board('b', { work: running([7, 8, 9]) })], promptOn(48))).toEqual({
      id: 2,
      from: 'a',
      to: 'b',
    });
    const last = board('a', { isDraining: true, work: running([1], 3) });
    expect(move([last, board('b')], promptOn(640))).toBeUndefined();
    expect(move([a, board('b', { isDraining: true })], promptOn(48))).toBeUndefined();
    expect(move([a, board('b', { places: 2, work: running([7, 8]) })], promptOn(48))).toBeUndefined();
  });
});
