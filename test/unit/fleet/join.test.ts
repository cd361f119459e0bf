import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { PynqLlmError } from '../../../errors/index.js';
import { joinFleet } from '../../../fleet/join.js';
import type { MemberAgent } from '../../../fleet/member/agent-link.js';
import { type Log, silentLog } from '../../../listen/index.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A board whose broker is away. */
function waiting() {
  const lines: unknown[] = [];
  const counts = { attempts: 0 };
  const broker = { code: 'BUS_UNAVAILABLE' as 'BUS_UNAVAILABLE' | 'BUS_NO_JETSTREAM' };
  const log: Log = { ...silentLog, warn: (fields) => lines.push(fields) };
  const left = joinFleet({
    bus: async () => {
      counts.attempts++;
      throw new PynqLlmError(broker.code, `So it is: ${broker.code}.`);
    },
    // No agent is asked before there is a broker.
    agent: {} as MemberAgent,
    log,
    name: 'shelf-1',
  });
  return { lines, counts, broker, left };
}

it('a board whose broker is away tries every two seconds, and says why once, without a stack', async () => {
  const { lines, counts, left } = waiting();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(counts.attempts).toBeGreaterThanOrEqual(30);
  expect(lines).toEqual([
    { board: 'shelf-1', error: expect.stringMatching(/BUS_UNAVAILABLE\] So it is: BUS_UNAVAILABLE\. Check/) },
  ]);
  left[Symbol.dispose]();
});

it('and again where the reason is another one, and every ten minutes', async () => {
  const { lines, broker, left } = waiting();
  await vi.advanceTimersByTimeAsync(10_000);
  broker.code = 'BUS_NO_JETSTREAM';
  await vi.advanceTimersByTimeAsync(10_000);
  expect(lines).toHaveLength(2);
  expect(lines[1]).toMatchObject({ error: expect.stringContaining('BUS_NO_JETSTREAM') });
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(lines.length).toBeGreaterThanOrEqual(7);
  expect(lines.length).toBeLessThanOrEqual(8);
  left[Symbol.dispose]();
});
