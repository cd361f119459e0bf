import { expect, it } from 'vitest';
import { runLoad } from '../load/run-load.js';

// What hangs is told by the clients' own deadline of 120 s, and by the agent's of 45 s to forget them: the test waits for both.
const TEST_MS = 300_000;

// `npm run test:load` is the long form of this.
it(
  '24 clients that cancel, read slowly, vanish and come back all get the text that each gets alone, or an error, where memory is short; one fault is got over, one is not',
  async () => {
    const said: string[] = [];
    const report = await runLoad({
      seconds: 20,
      clients: 24,
      faultsPerMinute: 6,
      seed: 7,
      kvMemoryMib: 1,
      say: (text) => said.push(text),
    });
    expect(report.mistakes, said.join('\n')).toEqual([]);
    const { due, seen, recovered } = report.faults;
    expect(due).toBeGreaterThanOrEqual(2);
    expect(seen).toBeGreaterThan(recovered);
    expect(recovered).toBeGreaterThan(0);
    expect(report.preemptions).toBeGreaterThan(0);
    expect(report.outcomes.done).toBeGreaterThan(24);
    expect(report.outcomes.cancelled).toBeGreaterThan(5);
    // The fault that came twice in a step.
    expect(report.outcomes['failed DRIVER_CORE_STUCK']).toBeGreaterThan(0);
    for (const { firstToken, betweenTokens } of Object.values(report.latencyMs)) {
      expect(firstToken.count).toBeGreaterThan(0);
      expect(betweenTokens.p50).toBeGreaterThan(0);
    }
    // Not of batch: its few streamed answers may have waited for longer than its others took.
    const { firstToken, whole } = report.latencyMs.interactive;
    expect(whole.p50).toBeGreaterThan(firstToken.p50);
  },
  TEST_MS,
);
