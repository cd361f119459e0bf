import { expect, it } from 'vitest';
import { runFuzz } from '../../fuzz/run-fuzz.js';

// `npm run test:fuzz` is the long form of this.
it('two seconds of broken bytes, handshakes, requests, upgrades, frames and calls hurt no server', async () => {
  const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000);
  const say = (text: string) => process.stderr.write(`fuzz: ${text}\n`);
  const report = await runFuzz({ seed, first: 0, until: { seconds: 2 }, say });
  expect(report.mistake, `FUZZ_SEED=${seed}`).toBeUndefined();
  expect(report.cases).toBeGreaterThan(20);
});
