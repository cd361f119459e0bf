import { afterAll, beforeAll } from 'vitest';
import type { AgentHandle } from '../../agent/index.js';
import { startMockFleet } from '../../fleet/index.js';
import { silentLog } from '../../listen/index.js';
import { temporaryDirectory } from '../system/support/agent.js';
import { conformanceSuite } from './suite.js';

const store = temporaryDirectory();
let fleet: AgentHandle;

beforeAll(async () => {
  fleet = await startMockFleet({
    listen: '127.0.0.1:0',
    log: silentLog,
    mocks: 2,
    device: 'mock:',
    storeDir: store.path,
  });
});
afterAll(async () => {
  await fleet?.close();
  store[Symbol.dispose]();
});

conformanceSuite('a fleet', () => fleet.url);
