import { describe, expect, it } from 'vitest';
import { Poker, readJson, readVector, runMatMul } from './harness.js';

interface CounterRow {
  readonly file: string;
  readonly revision: 'v1' | 'v3';
  readonly resident: boolean;
  readonly cycles: number;
  readonly counts: readonly Readonly<Record<string, number>>[];
  readonly after?: readonly string[];
}

const rows = readJson<readonly CounterRow[]>('counters.json');

/** One run counts one state of every monitor: the states are counted in as many runs from power-up as needed. */
function countAll(poker: Poker, row: CounterRow): { cycles: number; counts: Record<string, number>[] } {
  const counts: Record<string, number>[] = row.counts.map(() => ({}));
  let cycles = 0;
  for (let turn = 0; row.counts.some((states) => Object.keys(states).length > turn); turn++) {
    poker.board.resetLogic();
    poker.startChannels();
    for (const file of row.after ?? []) runMatMul(poker, readVector(file), row.resident);
    const targets = row.counts.map((states) => Object.keys(states).at(turn));
    for (const [monitor, target] of targets.entries())
      if (target !== undefined) poker.setTarget(monitor, Number(target));
    poker.resetCounters();
    ({ cycles } = runMatMul(poker, readVector(row.file), row.resident));
    for (const [monitor, target] of targets.entries())
      if (target !== undefined) counts[monitor][target] = poker.count(monitor);
  }
  return { cycles, counts };
}

describe('counters of every state', () => {
  const pokers = { v1: new Poker('v1'), v3: new Poker('v3') };

  it.each(rows)('$file on $revision, resident $resident, after $after', (row) => {
    expect(countAll(pokers[row.revision], row)).toEqual({ cycles: row.cycles, counts: row.counts });
  });
});
