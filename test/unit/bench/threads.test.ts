import { availableParallelism } from 'node:os';
import { expect, it } from 'vitest';
import { benchThreads } from '../../../bench/threads.js';

it('the bench of threads has a speed for each number, beside what the rates say, and the same bits', () => {
  const rows = benchThreads({ quick: true, onNote: () => {} });
  const most = Math.max(2, availableParallelism());
  const speeds = rows.filter(({ unit }) => unit === 'tokens/s');
  expect(speeds.map(({ name }) => Number(/^threads (\d+)/.exec(name)?.[1]))).toEqual(
    Array.from({ length: most }, (_, i) => i + 1),
  );
  expect(speeds[0]).toMatchObject({ baseline: null, ratio: null });
  for (const { value, baseline, ratio } of speeds.slice(1)) {
    expect(baseline).toBeGreaterThan(0);
    expect(ratio).toBeCloseTo(value / baseline!, 10);
  }
  // No rate makes rows dearer than the core alone.
  for (const { baseline } of speeds.slice(1))
    expect(baseline).toBeGreaterThanOrEqual(0.999 * speeds[0]!.value);
  const bits = rows.filter(({ unit }) => unit === 'of 1');
  expect(bits).toHaveLength(most);
  for (const { value } of bits) expect(value).toBe(1);
});
