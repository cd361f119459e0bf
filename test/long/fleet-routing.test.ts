import { describe, expect, it } from 'vitest';
import { type RoutingRow, routingRows } from '../../bench/fleet/routing.js';
import { TINY_LLAMA } from '../unit/fleet/models.js';

const rows = routingRows(TINY_LLAMA);
const of = (which: Partial<RoutingRow>) =>
  rows.find((row) => Object.entries(which).every(([key, value]) => row[key as keyof RoutingRow] === value))!;
const cases = ['synthesised', 'systemc'].flatMap((timing) => [4, 8].map((boards) => ({ timing, boards })));

describe.each(cases)('placement by predicted cycles, $timing, $boards boards', (fleet) => {
  it.each(['conversations under 12 system prompts', 'one hot prefix'])(
    '%s: gives the first token at 95 %% in half of the time that the least loaded board takes, lengths unknown',
    (load) => {
      const [ours, theirs] = (['predicted cycles', 'least loaded'] as const).map((policy) =>
        of({ ...fleet, load, policy }),
      );
      expect(ours!.p95).toBeLessThanOrEqual(theirs!.p95 / 2);
    },
  );

  it('loads no board with more than 1.3 times the mean under one hot prefix', () => {
    const { busiest } = of({ ...fleet, load: 'one hot prefix', policy: 'predicted cycles' });
    expect(busiest).toBeLessThanOrEqual(1.3);
  });
});
