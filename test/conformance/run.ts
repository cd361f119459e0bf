import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

// npm run test:conformance -- --device URL [--token TOKEN]
const { values } = parseArgs({ options: { device: { type: 'string' }, token: { type: 'string' } } });
const env = {
  ...process.env,
  ...(values.device === undefined ? {} : { PYNQ_LLM_DEVICE: values.device }),
  ...(values.token === undefined ? {} : { PYNQ_LLM_TOKEN: values.token }),
};
const { status } = spawnSync('npx', ['vitest', 'run', '--project', 'device'], { env, stdio: 'inherit' });
process.exitCode = status ?? 1;
