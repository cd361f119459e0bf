import { expect, it } from 'vitest';
import { randomArrivals } from '../../../bench/scheduling/workload.js';
import type { ServedRequest } from '../../../bench/serve/load.js';
import { plotDistributions } from '../../../bench/serve/plot.js';
import { reportOf } from '../../../bench/serve/report.js';

const request = (rest: Partial<ServedRequest>): ServedRequest => ({
  at: 0,
  class: 'interactive',
  client: 'a',
  promptTokens: 5,
  outputTokens: 3,
  tokenTimes: [100, 150, 170],
  coreCycles: 900,
  error: undefined,
  ...rest,
});

it('a report has percentiles for each class, tokens a second, and cycles a token', () => {
  const report = reportOf(
    [
      request({}),
      request({ tokenTimes: [300, 400, 600], coreCycles: 1_500 }),
      request({ class: 'batch', tokenTimes: [], coreCycles: 0, error: 'LLM_OVERLOADED' }),
    ],
    2,
  );
  expect(report).toMatchObject({ tokens: 6, tokensPerSecond: 3, coreCyclesPerToken: 400 });
  expect(report.classes.interactive).toMatchObject({
    requests: 2,
    errors: {},
    firstToken: { p50: 100, p99: 300 },
    betweenTokens: { p50: 50, p90: 200 },
    end: { p50: 170, p95: 600 },
  });
  expect(report.classes.batch).toMatchObject({ requests: 1, errors: { LLM_OVERLOADED: 1 } });
});

it('a picture has a line for each distribution, rising from 0 to 1', () => {
  const svg = plotDistributions('a < b', [{ name: 'first', colour: '#123456', values: [10, 1, 100] }]);
  expect(svg).toContain('a &lt; b');
  const path = /stroke="#123456" d="M(\S+) (\S+?)H/.exec(svg);
  expect(path).not.toBeNull();
  const heights = [...svg.matchAll(/V([\d.]+)(?=[H"])/g)].map(([, y]) => Number(y));
  expect(heights.slice(-3)).toEqual([196.7, 118.3, 40]);
});

it('random arrivals are in order, of the asked rate and mean lengths, and the same for the same seed', () => {
  const stream = {
    class: 'batch',
    clients: ['a', 'b'],
    perSecond: 2,
    promptTokens: 100,
    outputTokens: 40,
  } as const;
  const arrivals = randomArrivals([stream], 500, 1);
  expect(arrivals).toEqual(randomArrivals([stream], 500, 1));
  expect(arrivals.length).toBeGreaterThan(900);
  expect(arrivals.length).toBeLessThan(1_100);
  expect(arrivals.every(({ at }, i) => i === 0 || at >= arrivals[i - 1].at)).toBe(true);
  const mean = arrivals.reduce((sum, { promptTokens }) => sum + promptTokens, 0) / arrivals.length;
  expect(mean).toBeGreaterThan(120);
  expect(mean).toBeLessThan(130);
});
