import { expect, it } from 'vitest';
import { Pace, predictEnd } from '../../../../llm/scheduling/index.js';
import { snapshot, view, waiting } from './views.js';

const times = <T>(count: number, make: (i: number) => T) => Array.from({ length: count }, (_, i) => make(i));
/** A millisecond, and one more for each column. */
const msOf = (columns: number) => 1 + columns;
const tokens = (count: number, width = 1) => ({ tokens: count, width });

it('a request alone takes the steps of its prompt and one for each further token', () => {
  // Two steps of 50 columns, the last of which gives the first token.
  expect(predictEnd(snapshot([waiting(0, 100)]), 0, () => tokens(10), msOf)).toBe(2 * 51 + 9 * 2 + 2);
  expect(predictEnd(snapshot([waiting(0, 100)]), 0, () => tokens(0), msOf)).toBe(2 * 51);
});

it('others that generate make its steps dearer until they end', () => {
  const alone = predictEnd(snapshot([view(0)]), 0, () => tokens(9), msOf);
  expect(alone).toBe(10 * 2);
  const beside = snapshot([view(0), view(1)]);
  expect(predictEnd(beside, 0, (id) => tokens(id === 0 ? 9 : 4), msOf)).toBe(5 * 3 + 5 * 2);
});

it('it waits for a place behind those that come first, and not for those that nobody reads', () => {
  const running = times(8, (id) => view(id));
  const own = waiting(8, 16, { arrivedAt: 1 });
  const ahead = (id: number) => tokens(id === 8 ? 1 : 19);
  const ms = predictEnd(snapshot([...running, own]), 8, ahead, msOf);
  expect(ms).toBe(20 * 9 + 17 + 2);
  const unread = running.map((one) => ({ ...one, hasCredit: false }));
  expect(predictEnd(snapshot([...unread, own]), 8, ahead, msOf)).toBe(17 + 2);
});

it('interactive requests do not wait for batch work, which waits for them', () => {
  const sequences = [
    ...times(8, (id) => view(id, { class: 'batch' })),
    waiting(8, 16),
    waiting(9, 16, { class: 'batch' }),
  ];
  const ahead = (id: number) => tokens(id < 8 ? 99 : 1);
  const interactive = predictEnd(snapshot(sequences), 8, ahead, msOf);
  const batch = predictEnd(snapshot(sequences), 9, ahead, msOf);
  expect(interactive).toBeLessThan(50);
  expect(batch).toBeGreaterThan(500);
});

it('the pace is the clock’s until steps were seen, then theirs, the latest most', () => {
  expect(new Pace(undefined).msOf(10)).toBeUndefined();
  const pace = new Pace(0.5);
  expect(pace.msOf(10)).toBe(5);
  pace.step(20, 10);
  expect(pace.msOf(10)).toBe(20);
  for (let i = 0; i < 200; i++) pace.step(10, 10);
  expect(pace.msOf(10)).toBeCloseTo(10, 2);
});

it('texts are as long as those before were, whatever they were cut off at', () => {
  const pace = new Pace(undefined);
  expect(pace.lengthOf(1)).toBe(1);
  expect(pace.lengthOf(100_000)).toBe(256);
  // Cut off at 12 tokens each, none of which ended by itself: nothing says that texts are short.
  for (let i = 0; i < 50; i++) pace.end(12, false);
  expect(pace.lengthOf(400)).toBeGreaterThan(256);
  for (let i = 0; i < 200; i++) pace.end(20, true);
  expect(pace.lengthOf(400)).toBeLessThan(30);
});
