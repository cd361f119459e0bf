import { once } from 'node:events';
import { expect, test } from 'vitest';
import { inTime, startVictim } from './support/victim.js';

const AGENTS = 8;

test('an agent that is told to end while its device is being opened ends', async () => {
  for (let i = 0; i < AGENTS; i++) {
    await using victim = await startVictim({ program: 'agent', over: 'tcp', tokens: false });
    const { child } = victim.process;
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    try {
      expect(await inTime(exit, 'it did not end', 20_000)).toEqual([0, null]);
    } finally {
      child.kill('SIGKILL');
    }
  }
});
