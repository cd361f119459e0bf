import { expect, it } from 'vitest';
import { labelsOf } from '../../../http-api/metric-text.js';
import { UnitCycles } from '../../../http-api/unit-cycles.js';

const HZ = 100_000_000;
const counter = (cycles: number, targetName = 'computing') => ({
  name: 'compute',
  target: 1,
  targetName,
  cycles,
  state: 0,
  stateName: 'idle',
});
const totals = (units: UnitCycles, cycles: number, seconds: number) =>
  units.take([counter(cycles)], HZ, seconds * 1_000).map((one) => one.cycles);

it('grow by what the counters counted, across their wrapping', () => {
  const units = new UnitCycles();
  expect(totals(units, 2 ** 32 - 1_000, 0)).toEqual([0]);
  expect(totals(units, 2 ** 32 - 400, 15)).toEqual([600]);
  expect(totals(units, 100, 30)).toEqual([1_100]);
});

it('take a counter that fell in too short a time for one that was reset', () => {
  const units = new UnitCycles();
  totals(units, 3_000_000_000, 0);
  expect(totals(units, 500, 1)).toEqual([500]);
  expect(totals(units, 700, 2)).toEqual([700]);
});

it('have a series for each state that was counted', () => {
  const units = new UnitCycles();
  units.take([counter(10)], HZ, 0);
  units.take([counter(30)], HZ, 1_000);
  units.take([counter(5, 'waiting')], HZ, 2_000);
  expect(units.take([counter(9, 'waiting')], HZ, 3_000)).toEqual([
    { unit: 'compute', state: 'computing', cycles: 20 },
    { unit: 'compute', state: 'waiting', cycles: 4 },
  ]);
});

it('labels hold any text', () => {
  expect(labelsOf({ name: 'a "b" \\c\nd', n: 1 })).toBe(String.raw`{name="a \"b\" \\c\nd",n="1"}`);
});
