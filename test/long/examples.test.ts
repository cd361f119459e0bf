import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

it('examples/board.test.mjs passes on the mock', async () => {
  const { PYNQ_LLM_DEVICE: _, ...inherited } = process.env;
  const args = ['node_modules/vitest/vitest.mjs', 'run', '--root', 'examples'];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    env: { ...inherited, NO_COLOR: '1' },
    timeout: 100_000,
  });
  expect(stdout).toMatch(/Tests +3 passed \(3\)/);
});
