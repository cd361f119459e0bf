// Measures the loop of save and see: starts `npm run test:watch -- TEST`, touches SOURCE again and again, and prints how long each result
// took. `node scripts/time-watch.mjs [TEST] [SOURCE] [ROUNDS]`
import { spawn } from 'node:child_process';
import { utimesSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const TIMEOUT_MS = 120_000;
/** vitest tells this when it has told the results. */
const READY = 'Waiting for file changes';
const [test = 'test/unit/mock-device/dma.test.ts', source = 'mock-device/dma-channel.ts', rounds = '5'] =
  process.argv.slice(2);

const vitest = spawn(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', '--watch', '--config', 'vitest.watch.config.js', test],
  { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, NO_COLOR: '1' } },
);
let output = '';
vitest.stdout.setEncoding('utf8').on('data', (text) => {
  output += text;
});

try {
  console.log(`first result after ${await secondsToResult(() => {})} s`);
  for (let i = 0; i < Number(rounds); i++) {
    // The watcher compares times of change in milliseconds.
    await sleep(500);
    const seconds = await secondsToResult(() => utimesSync(source, new Date(), new Date()));
    console.log(`${seconds} s from a save of ${source} to the result of ${test}`);
  }
} finally {
  vitest.kill();
}

async function secondsToResult(save) {
  output = '';
  const started = performance.now();
  save();
  while (!/Tests? .*passed/.test(output) || !output.includes(READY)) {
    if (vitest.exitCode !== null || performance.now() - started > TIMEOUT_MS || output.includes('FAIL'))
      throw new Error(`no result: ${output}`);
    await sleep(10);
  }
  return ((performance.now() - started) / 1000).toFixed(2);
}
