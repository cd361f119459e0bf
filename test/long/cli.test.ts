import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { temporaryDirectory } from '../system/support/agent.js';
import { cli } from '../system/support/cli.js';

it('the same seed gives the same text, another seed another', async () => {
  using home = temporaryDirectory();
  const texts = await Promise.all(
    ['11', '11', '12'].map(async (seed) => {
      const { stdout } = await cli(['run', 'Once upon a time', '-n', '40', '-s', seed], { home: home.path });
      return stdout;
    }),
  );
  expect(texts[0].length).toBeGreaterThan(40);
  expect(texts[1]).toBe(texts[0]);
  expect(texts[2]).not.toBe(texts[0]);
});

it.skipIf(process.arch !== 'x64')('selftest passes on x86 processors without AVX', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--no-enable-avx',
    ...['dist/cli/main.js', 'selftest', '--json'],
  ]);
  expect(JSON.parse(stdout)).toMatchObject({ bitMismatches: 0, counterMismatches: 0, cycleMismatches: 0 });
});
