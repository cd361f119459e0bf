import { describe, expect, it } from 'vitest';
import type { PartMemory } from '../../fleet/load/memory.js';
import { type Ended, reportOf } from '../../fleet/load/report.js';

const done: Ended = { title: 'one', outcome: { kind: 'done' }, refusals: 0, at: 5_000 };
const failed = (code: string, at: number): Ended => ({ ...done, outcome: { kind: 'failed', code }, at });
const many = (count: number, one: Ended = done) => Array.from({ length: count }, () => one);
const grows = (part: string, from: number, to: number, cacheMib = 0): PartMemory => ({
  part,
  cacheMib,
  samples: Array.from({ length: 101 }, (_, seconds) => ({
    seconds,
    // What comes in the first quarter does not count.
    mib: seconds < 25 ? seconds : from + ((to - from) * (seconds - 25)) / 75,
  })),
});

function mistakes(ended: readonly Ended[], memory: readonly PartMemory[] = []): readonly string[] {
  const rest = { seconds: 100, clients: 1, seed: 1, kills: 1, mistakes: [] };
  const counts = { redelivered: 0, repeated: 0, tokens: 1 };
  return reportOf({ ...rest, ended, memory, counts, outage: { from: 10_000, to: 11_000 } }).mistakes;
}

describe('the load on a fleet', () => {
  it('may have one request of fifty that fails with a code of the fleet while the broker is away', () => {
    expect(mistakes([...many(49), failed('FLEET_BROKER_AWAY', 14_900)])).toEqual([]);
    expect(mistakes([...many(48), ...many(2, failed('FLEET_BROKER_AWAY', 14_900))])).toHaveLength(1);
    expect(mistakes([])).toHaveLength(1);
  });

  it('has no other failures, and none at other times', () => {
    for (const one of [
      failed('BUS_UNAVAILABLE', 12_000),
      failed('FLEET_POISON', 9_000),
      failed('FLEET_POISON', 15_100),
    ])
      expect(mistakes([...many(99), one])).toEqual([
        expect.stringContaining('code' in one.outcome ? one.outcome.code : ''),
      ]);
  });

  it('does not count what clients gave up', () => {
    expect(mistakes([...many(9), ...many(9, { ...done, outcome: { kind: 'cancelled' } })])).toEqual([]);
  });

  it('may grow by less than 5 % after the first quarter, and by what comes and goes', () => {
    expect(mistakes(many(9), [grows('gateway', 100, 104)])).toEqual([]);
    expect(mistakes(many(9), [grows('gateway', 100, 109)])).toEqual([expect.stringContaining('gateway')]);
    expect(mistakes(many(9), [grows('broker', 20, 30, 16)])).toEqual([]);
    expect(mistakes(many(9), [grows('broker', 20, 60, 16)])).toEqual([expect.stringContaining('broker')]);
  });
});
