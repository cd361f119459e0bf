import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadBoardDescription } from '../../../../board/index.js';
import { advise, type LoadSample, readHistory, runningCosts } from '../../../../fleet/index.js';
import { refusalOf } from '../models.js';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const END = 20 * DAY;
/** A sample each five minutes until END. */
const history = (busy: (minutesAgo: number) => number, days = 8): LoadSample[] =>
  Array.from({ length: days * 288 }, (_, i) => i * 5)
    .toReversed()
    .map((minutesAgo) => ({ at: END - minutesAgo * MINUTE, busyBoards: busy(minutesAgo) }));

describe('how many boards there should be', () => {
  it('is as many as the work of now needs at the target', () => {
    expect(
      advise(
        history(() => 2.7, 0.5),
        { boards: 4 },
      ),
    ).toMatchObject({ wanted: 4 });
    expect(
      advise(
        history(() => 2.9, 0.5),
        { boards: 4 },
      ).wanted,
    ).toBe(5);
    expect(
      advise(
        history(() => 0.9, 0.5),
        { boards: 4 },
      ).wanted,
    ).toBeLessThan(4);
  });

  it('is more where work grows, before there is too much', () => {
    const growing = history((minutesAgo) => Math.max(0.5, 2 - minutesAgo / 60), 0.5);
    const { from, wanted, expected } = advise(growing, { boards: 3 });
    expect(from).toBe('trend');
    expect(expected).toBeGreaterThan(2.8);
    expect(wanted).toBeGreaterThan(3);
  });

  it('is more where a day ago work came at this time, and a week ago too', () => {
    const peak = (daysAgo: number) => (minutesAgo: number) => {
      const before = daysAgo * 1440 - minutesAgo;
      return before > 20 && before < 50 ? 5 : 1;
    };
    expect(advise(history(peak(1)), { boards: 2 })).toMatchObject({
      from: 'a day ago',
      expected: 5,
      wanted: 8,
    });
    expect(advise(history(peak(7)), { boards: 2 })).toMatchObject({
      from: 'a week ago',
      expected: 5,
      wanted: 8,
    });
  });

  it('does not come and go: who is given up would not be wanted again at once', () => {
    for (let busy = 0.1; busy < 5; busy += 0.1) {
      const { wanted } = advise(
        history(() => busy, 0.2),
        { boards: 6 },
      );
      const after = advise(
        history(() => busy, 0.2),
        { boards: wanted },
      );
      expect(after.wanted).toBe(wanted);
      expect(busy / wanted).toBeLessThanOrEqual(0.7 + 1e-9);
    }
  });
});

describe('a history', () => {
  const fileOf = (text: string) => {
    const path = join(mkdtempSync(join(tmpdir(), 'history-')), 'history.jsonl');
    writeFileSync(path, text);
    return path;
  };

  it('has times of either kind, in any order', () => {
    const path = fileOf('{"at":"1970-01-01T00:00:02Z","busyBoards":1}\n{"at":1000,"busyBoards":2}\n\n');
    expect(readHistory(path)).toEqual([
      { at: 1000, busyBoards: 2 },
      { at: 2000, busyBoards: 1 },
    ]);
  });

  it.each(['', 'no json', '{"at":1}', '{"at":"yesterday","busyBoards":1}', '{"at":1,"busyBoards":-1}'])(
    'is refused where it is %j',
    (text) => {
      expect(refusalOf(() => readHistory(fileOf(text))).code).toBe('FLEET_HISTORY');
    },
  );

  it('is refused where it is not there', () => {
    expect(refusalOf(() => readHistory('/nowhere/history')).code).toBe('FLEET_HISTORY');
  });
});

describe('what a token costs', () => {
  const z1 = loadBoardDescription('pynq-z1');

  it('is the power and the price of all boards for its part of a step', () => {
    const boards = [
      { ...z1, watts: 3, price: 0.36 },
      { ...z1, watts: 5, price: 0.36 },
    ];
    const { joulesPerToken, pricePerMillion } = runningCosts(boards, 2_000, 8);
    expect(joulesPerToken).toBeCloseTo(2, 9);
    expect(pricePerMillion).toBeCloseTo(50, 9);
  });

  it('is not known where one board says nothing', () => {
    expect(runningCosts([{ ...z1, watts: 3 }, z1], 1_000, 1)).toEqual({
      joulesPerToken: undefined,
      pricePerMillion: undefined,
    });
  });
});
