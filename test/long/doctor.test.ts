import { expect, it } from 'vitest';
import { temporaryDirectory } from '../system/support/agent.js';
import { cli } from '../system/support/cli.js';

it("doctor on mock:kv260 passes the core's whole self-test", async () => {
  using home = temporaryDirectory();
  const { status, stdout } = await cli(['doctor', '--json', '--device', 'mock:kv260'], { home: home.path });
  const { passed, checks } = JSON.parse(stdout) as {
    passed: boolean;
    checks: { group: string; name: string; status: string; detail: string }[];
  };
  expect({ status, passed }).toEqual({ status: 0, passed: true });
  const core = checks.filter(({ group }) => group === 'core');
  expect(core).toHaveLength(9);
  expect(core.filter((check) => check.status !== 'pass')).toEqual([]);
  expect(core.at(-1)?.detail).toMatch(/^16\d\d MB\/s/);
});
